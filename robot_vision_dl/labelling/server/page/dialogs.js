/**
 * Dialogues, which keep the focus and end with Escape: the browser's own <dialog> does both.
 */
import { el, foreign, keycap } from './element.js';

const LISTED = 12;

/** Whether one is open. */
export function dialogOpen() {
  return document.querySelector('dialog[open]') !== null;
}

/** Open one; resolves with what `finish(value)` was called with, or null after Escape. */
function dialogue(title, make) {
  return new Promise((resolve) => {
    const back = document.activeElement;
    const box = el('dialog', { 'aria-labelledby': 'dialogue-title' });
    // Gone at once, not when the browser says "close": the next key is for the page already.
    const finish = (value = null) => {
      box.close();
      box.remove();
      back?.focus?.();
      resolve(value);
    };
    box.append(el('h2', { id: 'dialogue-title', tabindex: '-1' }, title), ...make(finish, box));
    box.addEventListener('cancel', (event) => {
      event.preventDefault();
      finish();
    });
    box.addEventListener('click', (event) => event.target === box && finish());
    document.body.append(box);
    box.showModal();
    (box.querySelector('input') ?? box.querySelector('h2')).focus();
  });
}

function closing(finish, text = 'Close') {
  return el('button', { type: 'button', on: { click: () => finish() } }, text, ' ', keycap('Esc'));
}

/** All keys: `groups` as keys.js has them. */
export function helpDialogue(groups) {
  return dialogue('Keys', (finish) => [
    el(
      'div',
      { class: 'help' },
      ...groups.map(([group, keys]) =>
        el(
          'section',
          {},
          el('h3', {}, group),
          el(
            'dl',
            {},
            ...keys.flatMap(([names, words]) => [
              el('dt', {}, ...names.map((name) => el('kbd', {}, name))),
              el('dd', {}, words),
            ]),
          ),
        ),
      ),
    ),
    el(
      'p',
      { class: 'soft' },
      'Filled colours on the time bar are labels; lines at the bottom are what the model says. ' +
        'A label is safe when the top of the page says “saved”.',
    ),
    closing(finish),
  ]);
}

/** Ask for the name of a new class; `problem(name)` says what is wrong with it, or null. */
export function newClassDialogue(problem) {
  return dialogue('New class', (finish) => {
    const input = el('input', {
      type: 'text',
      id: 'class-name',
      autocomplete: 'off',
      spellcheck: 'false',
      'aria-describedby': 'class-problem',
    });
    const wrong = el('p', { id: 'class-problem', class: 'wrong', role: 'alert' });
    const form = el(
      'form',
      { method: 'dialog' },
      el('label', { for: 'class-name' }, 'Its name, as it will stand in the labels'),
      input,
      wrong,
      el(
        'div',
        { class: 'row' },
        el('button', { type: 'submit', class: 'main' }, 'Make it and label this piece ', keycap('Enter')),
        closing(finish, 'Leave'),
      ),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const name = input.value.trim();
      wrong.textContent = problem(name) ?? '';
      if (!wrong.textContent) finish(name);
    });
    return [form];
  });
}

/** Tell of events that cannot be saved any more; whether they are to be forgotten. */
export function lostDialogue(events) {
  const counts = new Map();
  for (const name of events.map((event) => event?.label ?? 'something else')) counts.set(name, (counts.get(name) ?? 0) + 1);
  return dialogue('Not saved, from before this mining', (finish) => [
    el(
      'p',
      {},
      `${events.length === 1 ? 'This' : `These ${events.length}`} did not reach the server before the queue was mined ` +
        'anew, and name pieces that are not there any more. What was called saved is not concerned.',
    ),
    el(
      'ul',
      { class: 'lost' },
      ...[...counts].map(([name, count]) => el('li', {}, `${count} × `, foreign(name))),
    ),
    el(
      'div',
      { class: 'row' },
      el('button', { type: 'button', class: 'main', on: { click: () => finish(true) } }, 'Forget'),
      closing(finish, 'Tell me again next time'),
    ),
  ]);
}

/** Find a label by typing a part of its name. */
export function findDialogue(labels, names) {
  return dialogue('Label as', (finish) => {
    const input = el('input', {
      type: 'text',
      id: 'find-name',
      autocomplete: 'off',
      spellcheck: 'false',
      role: 'combobox',
      'aria-expanded': 'true',
      'aria-controls': 'found',
      'aria-label': 'Part of the name',
    });
    const list = el('ul', { id: 'found', role: 'listbox', class: 'found' });
    let found = [];
    let at = 0;
    const draw = () => {
      list.replaceChildren(
        ...found.map((name, k) =>
          el(
            'li',
            { role: 'option', id: `found-${k}`, 'aria-selected': String(k === at), on: { click: () => finish(name) } },
            labels.tag(name),
          ),
        ),
      );
      if (found.length > 0) input.setAttribute('aria-activedescendant', `found-${at}`);
      else input.removeAttribute('aria-activedescendant');
    };
    const search = () => {
      const typed = input.value.trim().toLowerCase();
      const starts = names.filter((name) => name.toLowerCase().startsWith(typed));
      found = [
        ...starts,
        ...names.filter((name) => !starts.includes(name) && name.toLowerCase().includes(typed)),
      ].slice(0, LISTED);
      at = 0;
      draw();
    };
    input.addEventListener('input', search);
    input.addEventListener('keydown', (event) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (by && found.length > 0) {
        at = (at + by + found.length) % found.length;
        draw();
        event.preventDefault();
      } else if (event.key === 'Enter' && found[at]) {
        event.preventDefault();
        finish(found[at]);
      }
    });
    search();
    return [input, list, closing(finish, 'Leave')];
  });
}

/** Two tabs, two labels: which one holds? Resolves with 'mine' or 'theirs'; Escape leaves what is there. */
export async function conflictDialogue({ picture, count, mine, theirs, who, reason, labels }) {
  const chosen = await dialogue('Labelled in two places', (finish, box) => {
    box.addEventListener('keydown', (event) => {
      const key = event.key.toLowerCase();
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (key === 'm' && mine !== null) finish('mine');
      if (key === 't') finish('theirs');
    });
    const name = (label) => (label ? labels.tag(label) : el('span', {}, 'no label'));
    return [
      el(
        'div',
        { class: 'row conflict' },
        picture ? el('img', { src: picture, alt: 'The piece' }) : null,
        el(
          'p',
          {},
          mine === null
            ? foreign(reason)
            : [count > 1 ? `${count} pieces were` : 'This piece was', ' labelled elsewhere'].join(''),
          mine !== null && who ? ' by ' : '',
          mine !== null && who ? foreign(who) : '',
          mine === null ? '. ' : ' before your label arrived. ',
          'Nothing was overwritten.',
        ),
      ),
      el(
        'div',
        { class: 'row' },
        mine === null
          ? null
          : el(
              'button',
              { type: 'button', class: 'main', on: { click: () => finish('mine') } },
              'Mine: ',
              name(mine),
              ' ',
              keycap('M'),
            ),
        el(
          'button',
          { type: 'button', on: { click: () => finish('theirs') } },
          'Theirs: ',
          name(theirs),
          ' ',
          keycap('T'),
        ),
      ),
    ];
  });
  return chosen ?? 'theirs';
}

/** Figures of progress: `content` is made by progress.js. */
export function progressDialogue(content) {
  return dialogue('Have I done enough?', (finish) => [content, closing(finish)]);
}
