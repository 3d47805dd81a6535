/** Look-alikes of a piece, to be labelled together: a list of pictures of which several can be chosen. */
import { el, keycap, percent } from './element.js';
import { ItemList } from './items.js';

/** The grid. `onClose` is told when it is left. */
export class Grid {
  constructor(place, labels, { onClose, onProblem, announce }) {
    Object.assign(this, { place, labels, onClose, onProblem, announce });
    this.list = null;
    this.chosen = new Set();
    this.anchor = 0;
    this.at = 0;
  }

  get open() {
    return this.list !== null;
  }

  /** The pieces that are chosen. */
  get selection() {
    return this.open ? this.list.entries.filter((entry) => this.chosen.has(entry.id)) : [];
  }

  /** Show what looks like `piece`, which itself is first and chosen. */
  async show(piece) {
    this.list = new ItemList(`alike:${piece.id}`);
    this.back = document.activeElement;
    this.place.hidden = false;
    document.body.classList.add('in-grid');
    this.place.replaceChildren(el('p', { class: 'soft' }, 'Looking for look-alikes …'));
    try {
      await this.list.ensure(1);
    } catch (error) {
      this.onProblem(`Look-alikes: ${error.message}`);
      this.close();
      return;
    }
    if (!this.open) return;
    if (!this.list.entries.some((entry) => entry.id === piece.id)) this.list.entries.unshift(piece);
    this.chosen = new Set([piece.id]);
    this.anchor = this.at = 0;
    this.#draw();
    this.#focus();
  }

  close() {
    if (!this.open) return;
    this.list = null;
    this.place.hidden = true;
    this.place.replaceChildren();
    document.body.classList.remove('in-grid');
    this.onClose();
    this.back?.focus?.();
  }

  /** Show labels and pieces that have changed. */
  refresh() {
    if (!this.open || !this.box) return;
    this.at = Math.min(this.at, this.list.entries.length - 1);
    const had = this.box.contains(document.activeElement);
    this.#draw();
    if (had) this.#focus();
  }

  #draw() {
    const { entries } = this.list;
    this.box = el(
      'div',
      {
        class: 'tiles',
        role: 'listbox',
        'aria-multiselectable': 'true',
        'aria-label': 'Look-alikes, the nearest first',
      },
      ...entries.map((entry, k) => this.#tile(entry, k)),
    );
    this.box.addEventListener('keydown', (event) => this.#key(event));
    this.count = el('strong', {});
    const more = this.list.complete
      ? null
      : el(
          'button',
          { type: 'button', class: 'quiet', on: { click: () => this.#more() } },
          `More (${this.list.total - entries.length})`,
        );
    this.place.replaceChildren(
      el(
        'div',
        { class: 'grid-head' },
        this.count,
        el(
          'span',
          { class: 'soft wide' },
          'Choose: arrows, ',
          keycap('Shift'),
          ' for a range, ',
          keycap('Space'),
          ' or ',
          keycap('Ctrl'),
          ' + click for single ones, ',
          keycap('A'),
          ' all. Then press the key of a label.',
        ),
        el('button', { type: 'button', class: 'quiet', on: { click: () => this.#all() } }, 'All'),
        el('button', { type: 'button', class: 'quiet', on: { click: () => this.close() } }, 'Back ', keycap('Esc')),
      ),
      this.box,
      more ?? '',
    );
    this.#mark();
  }

  #tile(entry, k) {
    const frame = entry.frames[Math.floor((entry.frames.length - 1) / 2)];
    const [first] = entry.proposals ?? [];
    const name = entry.label ? `labelled ${entry.label.name}` : first ? `the model says ${first[0]}` : 'no proposal';
    return el(
      'div',
      {
        class: 'tile',
        role: 'option',
        tabindex: '-1',
        'aria-label': `${k + 1}: ${name}`,
        on: { click: (event) => this.#click(event, k) },
      },
      el('img', { src: frame ? frame.picture : null, alt: '', loading: 'lazy', draggable: 'false' }),
      el(
        'span',
        { class: 'tile-words' },
        entry.label
          ? this.labels.tag(entry.label.name)
          : first
            ? el('span', { class: 'soft' }, `${first[0]} ${percent(first[1])}?`)
            : '',
      ),
    );
  }

  #mark() {
    [...this.box.children].forEach((tile, k) => {
      tile.setAttribute('aria-selected', String(this.chosen.has(this.list.entries[k].id)));
      tile.tabIndex = k === this.at ? 0 : -1;
    });
    this.count.textContent = `${this.chosen.size} of ${this.list.entries.length} chosen`;
    this.announce(this.count.textContent);
  }

  #focus() {
    this.box.children[this.at]?.focus();
  }

  #range(to) {
    const [from, until] = [Math.min(this.anchor, to), Math.max(this.anchor, to)];
    this.chosen = new Set(this.list.entries.slice(from, until + 1).map((entry) => entry.id));
  }

  #toggle(k) {
    const { id } = this.list.entries[k];
    if (!this.chosen.delete(id)) this.chosen.add(id);
    this.anchor = k;
  }

  #all() {
    const all = this.list.entries.map((entry) => entry.id);
    this.chosen = new Set(this.chosen.size === all.length ? [] : all);
    this.#mark();
  }

  async #more() {
    await this.list.ensure(Infinity).catch((error) => this.onProblem(error.message));
    this.refresh();
  }

  #click(event, k) {
    const touch = matchMedia('(pointer: coarse)').matches;
    if (event.shiftKey) this.#range(k);
    else if (event.ctrlKey || event.metaKey || touch) this.#toggle(k);
    else {
      this.chosen = new Set([this.list.entries[k].id]);
      this.anchor = k;
    }
    this.at = k;
    this.#mark();
    this.#focus();
  }

  #key(event) {
    const columns = getComputedStyle(this.box).gridTemplateColumns.split(' ').length;
    const by = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: columns,
      ArrowUp: -columns,
      Home: -this.at,
      End: this.list.entries.length,
    }[event.key];
    if (by !== undefined) {
      this.at = Math.max(0, Math.min(this.list.entries.length - 1, this.at + by));
      if (event.shiftKey) this.#range(this.at);
      else if (!event.ctrlKey) this.anchor = this.at;
    } else if (event.key === ' ') {
      if (event.shiftKey) this.#range(this.at);
      else this.#toggle(this.at);
    } else if (event.key.toLowerCase() === 'a') {
      this.#all();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.#mark();
    this.#focus();
  }
}
