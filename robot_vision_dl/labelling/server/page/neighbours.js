/** The labelled pieces that look most like this one. */
import { get } from './api.js';
import { el } from './element.js';

const SHOWN = 4;
const WAIT_MS = 150;

/** Shows them beside a piece; asks the server only when one stays with a piece for a moment. */
export class Neighbours {
  constructor(place, labels, { onGrid }) {
    Object.assign(this, { place, labels, onGrid });
    this.timer = null;
    this.piece = null;
  }

  show(piece) {
    if (this.piece?.id === piece?.id && this.piece?.blind === piece?.blind) return;
    this.piece = piece;
    clearTimeout(this.timer);
    if (!piece) {
      this.place.replaceChildren();
      return;
    }
    this.timer = setTimeout(() => this.#ask(piece), WAIT_MS);
  }

  async #ask(piece) {
    let neighbours = [];
    try {
      if (!piece.blind) neighbours = (await get(`/api/items/${encodeURIComponent(piece.id)}/neighbours`)).neighbours;
    } catch {
      return;
    }
    if (this.piece === piece || this.piece?.id === piece.id) this.#draw(piece, neighbours.slice(0, SHOWN));
  }

  #draw(piece, neighbours) {
    const { labels } = this;
    const list = el(
      'ul',
      {},
      ...neighbours.map((one) =>
        el(
          'li',
          {},
          el('img', { src: one.picture, alt: `Picture labelled ${nameOf(one)}` }),
          labels.tag(nameOf(one)),
          el('span', { class: 'soft' }, `${Math.round(100 * one.similarity)} % alike`),
        ),
      ),
    );
    const twins = piece.alike_count - 1;
    const grid = piece.blind
      ? null
      : el(
          'button',
          {
            type: 'button',
            class: 'quiet',
            'aria-keyshortcuts': 'g',
            on: { click: this.onGrid },
          },
          'Label look-alikes together',
          twins > 0 ? ` (${twins} nearly the same)` : '',
          ' ',
          el('kbd', { 'aria-hidden': 'true' }, 'G'),
        );
    this.place.replaceChildren(
      el('h2', {}, 'Looks like'),
      neighbours.length > 0
        ? list
        : el('p', { class: 'soft' }, piece.blind ? 'Hidden for this one.' : 'Nothing labelled looks like it yet.'),
      grid ?? '',
    );
  }
}

function nameOf(neighbour) {
  return neighbour.label?.name ?? neighbour.label;
}
