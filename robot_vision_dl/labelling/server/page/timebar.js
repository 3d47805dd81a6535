/**
 * Where a piece lies in its recording, and what of that is labelled.
 *
 * Two rows: all of what one camera saw, and the neighbourhood of the piece, where there is room for letters. What is labelled
 * is filled; what is not shows the model's proposal as a line at the bottom.
 */
import { get } from './api.js';
import { clock, el, foreign, stretch } from './element.js';
import { piece } from './items.js';

const AROUND = 9;
const KEPT = 12;

/** The bar. `onGo(id)` is told which piece was chosen on it. */
export class TimeBar {
  constructor(place, labels, { onGo }) {
    Object.assign(this, { place, labels, onGo });
    this.cameras = new Map();
    this.current = null;
    this.title = el('p', { class: 'where' });
    this.whole = el('div', { class: 'track whole', 'aria-hidden': 'true' });
    this.near = el('div', { class: 'track near', 'aria-hidden': 'true' });
    this.whole.addEventListener('click', (event) => this.#clicked(event));
    const words = (text) => el('span', { class: 'row-words', 'aria-hidden': 'true' }, text);
    const rows = el('div', { class: 'rows' }, words('recording'), this.whole, words('nearby'), this.near);
    place.append(this.title, rows);
  }

  /** Show where this piece is. */
  async show(current) {
    this.current = current;
    if (!current) {
      this.title.replaceChildren();
      this.#clear();
      return;
    }
    this.#title();
    const key = cameraKey(current);
    if (this.shownKey !== key) this.#clear();
    const camera = await this.#camera(current);
    if (!this.current || cameraKey(this.current) !== key) return;
    if (camera) this.#draw(camera);
    else if (!this.cameras.has(key)) this.#clear();
  }

  /** Nothing of another piece is to be seen, as long as that of this one is not known. */
  #clear() {
    this.whole.replaceChildren();
    this.near.replaceChildren();
    this.shown = this.shownKey = null;
  }

  /** Take over pieces whose labels or ends have changed. */
  put(pieces) {
    for (const one of pieces) {
      const camera = this.cameras.get(cameraKey(one));
      if (!camera?.pieces) continue;
      const at = camera.byId.get(one.id);
      if (at !== undefined && camera.pieces[at].end_s === one.end_s) {
        camera.pieces[at] = { ...camera.pieces[at], label: one.label?.name ?? null };
        camera.drawn = false;
      } else {
        this.cameras.delete(cameraKey(one));
      }
    }
  }

  /** The piece before or after this one in time, of the same camera; null where there is none. */
  beside(current, by) {
    const camera = this.cameras.get(cameraKey(current));
    const at = camera?.byId?.get(current.id);
    return at === undefined ? null : (camera.pieces[at + by] ?? null);
  }

  async #camera(current) {
    const key = cameraKey(current);
    if (!this.cameras.has(key)) {
      this.cameras.set(key, { pieces: null, drawn: false });
      if (this.cameras.size > KEPT) this.cameras.delete(this.cameras.keys().next().value);
      try {
        const answer = await get('/api/time', { recording: current.recording, topic: current.topic });
        const pieces = answer.pieces.map(told);
        this.cameras.set(key, { pieces, byId: new Map(pieces.map((one, k) => [one.id, k])), drawn: false });
      } catch {
        this.cameras.delete(key);
      }
    }
    const camera = this.cameras.get(key);
    return camera?.pieces ? camera : null;
  }

  #title() {
    const { current } = this;
    this.title.replaceChildren(
      el('strong', {}, foreign(current.recording)),
      ' ',
      el('span', { class: 'soft' }, foreign(current.topic)),
      el('span', { class: 'times' }, stretch(current.start_s, current.end_s)),
    );
  }

  #draw(camera) {
    const { current } = this;
    const at = camera.byId.get(current.id);
    const first = camera.pieces[0]?.start_s ?? 0;
    const length = (camera.pieces.at(-1)?.end_s ?? 1) - first || 1;
    if (this.shown !== camera || !camera.drawn) this.#drawWhole(camera, first, length);
    this.caret.style.left = `${(100 * (current.start_s - first)) / length}%`;
    this.caret.style.width = `${(100 * (current.end_s - current.start_s)) / length}%`;
    const labelled = camera.pieces.filter((one) => one.label).length;
    this.place.setAttribute(
      'aria-label',
      `Time bar: piece ${(at ?? 0) + 1} of ${camera.pieces.length} of this camera, ${labelled} labelled`,
    );
    if (at === undefined) {
      this.near.replaceChildren();
      return;
    }
    const from = Math.max(0, Math.min(at - AROUND, camera.pieces.length - 2 * AROUND - 1));
    this.near.replaceChildren(...camera.pieces.slice(from, from + 2 * AROUND + 1).map((one) => this.#segment(one)));
  }

  #drawWhole(camera, first, length) {
    // Thousands of pieces on a thousand pixels: one canvas for all of them.
    const canvas = el('canvas', { width: 1200, height: 14 });
    const context = canvas.getContext('2d');
    const probe = el('span', { class: 'probe' });
    this.whole.replaceChildren(canvas, probe);
    const colours = new Map();
    const colourOf = (name) => {
      if (!colours.has(name)) {
        probe.className = `probe ${this.labels.paint(name)}`;
        colours.set(name, getComputedStyle(probe).backgroundColor);
      }
      return colours.get(name);
    };
    for (const one of camera.pieces) {
      const [left, width] = [
        (1200 * (one.start_s - first)) / length,
        Math.max(1, (1200 * (one.end_s - one.start_s)) / length - 0.5),
      ];
      const name = one.label ?? one.proposal;
      if (!name) continue;
      context.fillStyle = colourOf(name);
      if (one.label) context.fillRect(left, 0, width, 14);
      else context.fillRect(left, 11, width, 3);
    }
    probe.remove();
    this.caret = el('span', { class: 'caret' });
    this.whole.append(this.caret);
    Object.assign(camera, { drawn: true, first, length });
    this.shown = camera;
    this.shownKey = cameraKey(this.current);
  }

  #segment(one) {
    const name = one.label ?? one.proposal ?? '';
    const segment = el(
      'button',
      {
        type: 'button',
        tabindex: '-1',
        class: `segment ${one.label ? 'labelled' : 'open'} ${one.id === this.current.id ? 'here' : ''}`,
        title: `${clock(one.start_s)}: ${one.label ? name : name ? `the model says ${name}` : 'no label'}`,
        on: { click: () => this.onGo(one.id) },
      },
      el('span', { class: this.labels.paint(name) }, name ? this.labels.mark(name) : ''),
    );
    segment.style.flexGrow = String(Math.min(6, Math.max(1, Math.sqrt(Math.max(0, one.end_s - one.start_s)))));
    return segment;
  }

  #clicked(event) {
    const camera = this.shown;
    if (!camera) return;
    const box = this.whole.getBoundingClientRect();
    const at = camera.first + (camera.length * (event.clientX - box.left)) / box.width;
    const chosen = camera.pieces.find((one) => one.end_s > at) ?? camera.pieces.at(-1);
    if (chosen) this.onGo(chosen.id);
  }
}

function cameraKey(one) {
  return JSON.stringify([one.recording, one.topic]);
}

/** What is needed of a piece on the bar, whether it came whole or short. */
function told(sent) {
  const label = sent.label && typeof sent.label === 'object' ? sent.label.name : sent.label;
  return {
    id: sent.id,
    start_s: sent.start_s,
    end_s: sent.end_s,
    label: label ?? null,
    proposal: sent.proposal ?? sent.proposals?.[0]?.[0] ?? null,
  };
}

/** One piece by its id, from the server. */
export async function fetchPiece(id) {
  return piece(await get(`/api/items/${encodeURIComponent(id)}`));
}
