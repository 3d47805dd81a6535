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
    this.#draw(piece, el('ul'));
    this.timer = setTimeout(() => this.#ask(piece), WAIT_MS);
  }

  async #ask(piece) {
    let neighbours = [];
    try {
      if (!piece.blind) neighbours = (await get(`/api/items/${encodeURIComponent(piece.id)}/neighbours`)).neighbours;
    } catch (error) {
      if (this.piece?.id !== piece.id) return;
      this.#draw(piece, el('p', { class: 'soft' }, `Not known: ${error.message}.`));
      this.piece = null; // asked again when it is drawn again
      return;
    }
    if (this.piece?.id === piece.id) this.#draw(piece, this.#list(piece, neighbours.slice(0, SHOWN)));
  }

  #list(piece, neighbours) {
    const { labels } = this;
    if (neighbours.length === 0)
      return el('p', { class: 'soft' }, piece.blind ? 'Hidden for this one.' : 'Nothing labelled looks like it yet.');
    return el(
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
  }

  #draw(piece, content) {
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
      content,
      grid ?? '',
    );
  }
}

function nameOf(neighbour) {
  return neighbour.label?.name ?? neighbour.label;
}
