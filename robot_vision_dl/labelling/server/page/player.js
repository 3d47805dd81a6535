/** The pictures of a piece: one large, all as a strip, and one after another as a film. */
import { clock, el, keepTrying, percent } from './element.js';

const SHORTEST_MS = 60;
const LONGEST_MS = 400;
const WHOLE_MS = 4000;

/** Shows the pictures of one piece. `onFrame` is told when another one is looked at. */
export class Player {
  constructor(stage, strip, { labels, onFrame, onEnd }) {
    Object.assign(this, { stage, strip, labels, onFrame, onEnd });
    this.piece = null;
    this.at = 0;
    this.moved = false;
    this.timer = null;
    this.picture = keepTrying(el('img', { class: 'large', alt: '', decoding: 'sync', draggable: 'false' }));
    this.caption = el('p', { class: 'caption' });
    this.held = el('p', { class: 'held', hidden: true });
    this.empty = el('p', { class: 'empty', hidden: true });
    stage.append(this.picture, this.held, this.empty, this.caption);
    stage.addEventListener('click', () => this.toggle());
    this.picture.addEventListener('error', () => this.picture.classList.add('broken'));
    this.picture.addEventListener('load', () => this.picture.classList.remove('broken', 'loading'));
  }

  /** The frame that is looked at, or null. */
  get frame() {
    return this.piece?.frames[this.at] ?? null;
  }

  get playing() {
    return this.timer !== null;
  }

  /** Show a piece, from the picture in its middle: the first one often still has what was there before. */
  show(piece) {
    const same = this.piece && piece && this.piece.id === piece.id && this.piece.frames.length === piece.frames.length;
    this.piece = piece;
    if (!same) {
      this.stop();
      this.at = piece ? Math.floor((piece.frames.length - 1) / 2) : 0;
      this.moved = false;
      this.#drawStrip();
    }
    this.#draw();
  }

  /** Look at the frame `by` further on. */
  step(by) {
    if (!this.piece) return;
    this.stop();
    this.go(Math.max(0, Math.min(this.piece.frames.length - 1, this.at + by)));
  }

  /** Look at one frame. */
  go(at) {
    this.at = at;
    this.moved = true;
    this.#draw();
    this.onFrame?.(this.frame);
  }

  toggle() {
    if (this.playing) this.stop();
    else this.play();
  }

  /** Play from the frame that was chosen; from the beginning where none was, or at the end. */
  play() {
    if (!this.piece || this.piece.frames.length < 2) return;
    if (!this.moved || this.at >= this.piece.frames.length - 1) this.at = 0;
    this.moved = true;
    this.stage.classList.add('playing');
    this.#draw();
    this.#next();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
    this.stage.classList.remove('playing');
  }

  /** Show that a key is held and since which frame. */
  hold(name, from) {
    this.heldFrom = name === null ? null : from;
    this.held.hidden = name === null;
    this.held.replaceChildren(...(name === null ? [] : ['Labelling ', this.labels.tag(name), ' until you let go']));
    this.#draw();
  }

  #next() {
    const { frames } = this.piece;
    const [now, then] = [frames[this.at], frames[this.at + 1]];
    if (!then) {
      this.stop();
      this.onEnd?.();
      return;
    }
    const length = frames.at(-1).t_s - frames[0].t_s || 1;
    const scale = Math.min(1000, WHOLE_MS / length);
    const wait = Math.max(SHORTEST_MS, Math.min(LONGEST_MS, (then.t_s - now.t_s) * scale));
    this.timer = setTimeout(() => {
      this.at += 1;
      this.#draw();
      this.onFrame?.(this.frame);
      this.#next();
    }, wait);
  }

  #drawStrip() {
    const frames = this.piece?.frames ?? [];
    this.thumbs = frames.map((frame, k) =>
      el(
        'button',
        {
          type: 'button',
          class: 'thumb',
          tabindex: '-1',
          'aria-label': `Picture ${k + 1} of ${frames.length}, at ${clock(frame.t_s)}`,
          on: {
            click: (event) => {
              event.stopPropagation();
              this.stop();
              this.go(k);
            },
          },
        },
        keepTrying(el('img', { src: frame.picture, alt: '', draggable: 'false' })),
        el('span', { class: 'sure', 'aria-hidden': 'true' }, el('span')),
      ),
    );
    this.thumbs.forEach((thumb, k) => {
      thumb.querySelector('.sure span').style.height =
        `${Math.round(100 * (this.piece.blind ? 0 : frames[k].confidence))}%`;
    });
    this.strip.replaceChildren(...this.thumbs);
    this.strip.scrollLeft = 0;
  }

  #draw() {
    const { frame, piece } = this;
    this.picture.hidden = frame === null;
    this.caption.replaceChildren();
    if (frame === null) return;
    const url = frame.picture;
    if (this.picture.getAttribute('src') !== url) this.picture.setAttribute('src', url);
    // Never the picture of the piece before beside what is asked about this one.
    if (this.pictured !== piece.id) this.picture.classList.toggle('loading', !this.picture.complete);
    this.pictured = piece.id;
    this.picture.alt = `Picture ${this.at + 1} of ${piece.frames.length} of this piece`;
    this.caption.append(`${this.at + 1} / ${piece.frames.length} · ${clock(frame.t_s)}`);
    if (!piece.blind) this.caption.append(' · ', frame.decision, ` ${percent(frame.confidence)}`);
    this.thumbs.forEach((thumb, k) => {
      thumb.setAttribute('aria-current', String(k === this.at));
      thumb.classList.toggle(
        'within',
        this.heldFrom !== null && this.heldFrom !== undefined && k >= this.heldFrom && k <= this.at,
      );
      thumb.tabIndex = k === this.at ? 0 : -1;
    });
    const thumb = this.thumbs[this.at];
    if (!thumb) return;
    const { strip } = this;
    const [left, right] = [
      thumb.offsetLeft - strip.offsetLeft,
      thumb.offsetLeft - strip.offsetLeft + thumb.offsetWidth,
    ];
    if (left < strip.scrollLeft || right > strip.scrollLeft + strip.clientWidth)
      strip.scrollLeft = left - strip.clientWidth / 3;
  }
}

const kept = new Map();

/** Have the browser load the pictures of pieces that come next. */
export function prefetchPictures(pieces, most = 160) {
  for (const piece of pieces) {
    for (const frame of piece.frames) {
      const url = frame.picture;
      if (kept.has(url)) continue;
      const image = new Image();
      image.addEventListener('error', () => kept.delete(url));
      image.src = url;
      kept.set(url, image);
    }
  }
  while (kept.size > most) kept.delete(kept.keys().next().value);
}
