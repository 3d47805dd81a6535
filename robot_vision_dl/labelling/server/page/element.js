/**
 * Elements from tags, attributes and children.
 *
 * Text only ever becomes a text node: names of classes, recordings and topics come from bags and are not to be trusted.
 */

/** Make an element: `on` holds listeners; an attribute that is false or null is left out, and true stands for ''. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A name that came from elsewhere, kept from turning the direction of the text around it. */
export function foreign(name) {
  return el('bdi', {}, name);
}

/** Ask for a picture again when it could not be had, as long as it is shown. */
export function keepTrying(image, pause = 2000) {
  image.addEventListener('error', () =>
    setTimeout(() => {
      if (image.isConnected && image.getAttribute('src')) image.setAttribute('src', image.getAttribute('src'));
    }, pause),
  );
  return image;
}

/** A key, as it is shown on buttons and in the help. */
export function keycap(text) {
  return el('kbd', { 'aria-hidden': 'true' }, text);
}

/** The element of `index.html` with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Seconds as m:ss.s. */
export function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, '0')}`;
}

/** From one time to another; one where they are the same in words. */
export function stretch(from, to) {
  const [first, last] = [clock(from), clock(to)];
  return first === last ? first : `${first} – ${last}`;
}

/** A probability as whole per cent; never 0 % or 100 % for what is not. */
export function percent(p) {
  if (p > 0 && p < 0.01) return '<1 %';
  if (p < 1 && p > 0.99) return '>99 %';
  return `${Math.round(100 * p)} %`;
}
