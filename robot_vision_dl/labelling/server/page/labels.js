/**
 * Classes and the other labels: keys, colours, patterns.
 *
 * Colours are Okabe and Ito's, which people with any colour vision tell apart (Color Universal Design, 2008); after eight
 * classes they come again with another pattern. Colour is never all: the key or a letter stands beside it.
 */
import { el, foreign, keycap } from './element.js';

const COLOURS = 8;
const PATTERNS = 4;
const KEYS = 9;
/** With more classes only those that have a digit are shown; the others are found by their names. */
const ALL_SHOWN = 36;

/** What can be said of a piece besides a class. */
export const SPECIAL = [
  { name: 'unsure', key: '-', mark: '~', title: 'You cannot tell: left out of training, and kept in the view Unsure' },
  { name: 'unknown', key: '0', mark: '?', title: 'Something that is none of the classes' },
  { name: 'ignore', key: 'x', mark: '×', title: 'Of no use: blurred, dark, between two things' },
];

/** All labels of a queue. */
export class Labels {
  constructor(classes) {
    this.page = 0;
    this.set(classes);
  }

  /** Take over the classes, whose order is theirs for good. */
  set(classes) {
    this.names = classes.map((one) => one.name);
    this.page = Math.min(this.page, this.pages - 1);
  }

  /** How many times nine classes there are. */
  get pages() {
    return Math.max(1, Math.ceil(this.names.length / KEYS));
  }

  /** Let the digits stand for the next nine classes. */
  turn() {
    this.page = (this.page + 1) % this.pages;
  }

  /** The class that a digit stands for, or undefined. */
  atDigit(digit) {
    return digit >= 1 ? this.names[this.page * KEYS + digit - 1] : undefined;
  }

  /** The digit of a class, or null where it is on another page. */
  digitOf(name) {
    const at = this.names.indexOf(name) - this.page * KEYS;
    return at >= 0 && at < KEYS ? at + 1 : null;
  }

  /** Whether it may be given as a label. */
  has(name) {
    const low = name.toLowerCase();
    return [...this.names, ...SPECIAL.map((one) => one.name), 'uncertain'].some((one) => one.toLowerCase() === low);
  }

  /** The letter or digit that stands for a label where there is no room for its name. */
  mark(name) {
    const special = SPECIAL.find((one) => one.name === name);
    if (special) return special.mark;
    const at = this.names.indexOf(name);
    return at >= 0 && at < KEYS ? String(at + 1) : ([...name][0]?.toUpperCase() ?? '');
  }

  /** CSS classes that give an element the colour and pattern of a label. */
  paint(name) {
    if (SPECIAL.some((one) => one.name === name)) return `paint paint-${name}`;
    const at = this.names.indexOf(name);
    return at < 0 ? 'paint paint-none' : `paint paint-${at % COLOURS} pattern-${Math.floor(at / COLOURS) % PATTERNS}`;
  }

  /** A small coloured field with the label's mark. */
  swatch(name) {
    return el('span', { class: `swatch ${this.paint(name)}`, 'aria-hidden': 'true' }, this.mark(name));
  }

  /** Mark and name together. */
  tag(name) {
    return el('span', { class: 'tag' }, this.swatch(name), foreign(name));
  }
}

/** The buttons by which a piece is labelled. */
export class LabelButtons {
  constructor(place, labels, { onLabel, onNew, onFind, onTurn, onHold, onRelease }) {
    Object.assign(this, { place, labels, onLabel, onNew, onFind, onTurn, onHold, onRelease });
    this.buttons = new Map();
    this.draw();
  }

  /** Make them anew, after the classes or the page of digits have changed. */
  draw() {
    const { labels } = this;
    this.buttons.clear();
    const classes = el('div', { class: 'choices', role: 'group', 'aria-label': 'Classes' });
    const shown = labels.names.filter((name) => labels.names.length <= ALL_SHOWN || labels.digitOf(name) !== null);
    classes.append(...shown.map((name) => this.#button(name, labels.digitOf(name))));
    document.body.classList.toggle('many', labels.names.length > KEYS);
    const others = el('div', { class: 'choices others', role: 'group', 'aria-label': 'No class' });
    for (const { name, key, title } of SPECIAL) others.append(this.#button(name, key, title));
    const more = el(
      'div',
      { class: 'more' },
      plainButton('New class', 'N', this.onNew),
      labels.names.length > KEYS ? plainButton('Find', '/', this.onFind) : null,
      labels.pages > 1 ? plainButton(`Keys ${labels.page + 1} of ${labels.pages}`, ';', this.onTurn) : null,
    );
    const keys = Math.min(KEYS, labels.names.length);
    const hint = el(
      'p',
      { class: 'hint' },
      el(
        'span',
        { class: 'by-key' },
        keycap(keys > 1 ? `1 – ${keys}` : '1'),
        ' or click; ',
        keycap('Enter'),
        ' if the model is right',
      ),
      el('span', { class: 'by-touch' }, 'Tap what it is.'),
    );
    this.place.replaceChildren(hint, classes, others, more);
  }

  /** Show which label the piece has and which one the model proposes. */
  mark(label, proposed) {
    for (const [name, button] of this.buttons) {
      button.setAttribute('aria-pressed', String(name === label));
      button.classList.toggle('proposed', name === proposed);
    }
  }

  #button(name, key, title = null) {
    const button = el(
      'button',
      {
        type: 'button',
        class: 'choice',
        'aria-pressed': 'false',
        title,
        'aria-keyshortcuts': key,
        on: {
          click: () => this.onLabel(name),
          pointerdown: () => this.onHold(name),
          pointerup: () => this.onRelease(name),
          pointerleave: () => this.onRelease(name),
          pointercancel: () => this.onRelease(name),
        },
      },
      this.labels.swatch(name),
      foreign(name),
      key === null ? null : keycap(String(key).toUpperCase()),
    );
    this.buttons.set(name, button);
    return button;
  }
}

function plainButton(text, key, action) {
  return el(
    'button',
    { type: 'button', class: 'quiet', 'aria-keyshortcuts': key, on: { click: action } },
    text,
    ' ',
    keycap(key),
  );
}
