/**
 * Pieces of intervals, and lists of them as a view of the queue gives them.
 *
 * A piece is what `/api/items` says, with `from` and `to` as BigInt: nanoseconds do not fit into a number. Pieces are
 * never changed but replaced, so that what was there before can be put back.
 */
import { get } from './api.js';

const PAGE = 60;
const AHEAD = 40;

/** A piece as the server sends it, ready for use. */
export function piece(sent) {
  return { ...sent, from: BigInt(sent.start_ns), to: BigInt(sent.end_ns) };
}

/** The pieces that a piece falls into when it is cut at these times, each with its own pictures. */
export function cutPiece(whole, times) {
  const edges = [whole.from, ...times.filter((time) => time > whole.from && time < whole.to), whole.to];
  const seconds = (time) => whole.start_s + Number(time - whole.from) / 1e9;
  return edges.slice(0, -1).map((from, k) => {
    const to = edges[k + 1];
    return {
      ...whole,
      id: `${whole.interval}-${from}`,
      from,
      to,
      start_ns: String(from),
      end_ns: String(to),
      start_s: seconds(from),
      end_s: seconds(to),
      frames: whole.frames.filter((frame) => BigInt(frame.stamp_ns) >= from && BigInt(frame.stamp_ns) < to),
    };
  });
}

/** A view of the queue: pieces that were loaded so far, and which of them is looked at. */
export class ItemList {
  constructor(view, start = null) {
    this.view = view;
    this.entries = [];
    this.index = 0;
    this.total = null;
    this.cursor = start;
    this.previous = null;
    this.complete = false;
    this.loading = null;
  }

  /** The piece that is looked at; null at the end. */
  get current() {
    return this.entries[this.index] ?? null;
  }

  /** Load until there is enough after the current piece; resolves when the one page that was asked for is there. */
  ensure(ahead = AHEAD) {
    if (this.complete || this.entries.length - this.index > ahead) return Promise.resolve();
    this.loading ??= this.#load().finally(() => {
      this.loading = null;
    });
    return this.loading;
  }

  async #load() {
    const answer = await get('/api/items', { view: this.view, after: this.cursor, limit: PAGE });
    const known = new Set(this.entries.map((entry) => entry.id));
    if (this.total === null) this.previous = answer.previous ?? null;
    this.entries.push(...answer.items.map(piece).filter((entry) => !known.has(entry.id)));
    this.cursor = answer.next;
    this.total = answer.total;
    this.complete = answer.next === null;
  }

  /** Load what comes before the first piece, if there is anything. */
  async loadPrevious() {
    if (this.previous === null) return;
    const answer = await get('/api/items', { view: this.view, before: this.previous, limit: PAGE });
    const known = new Set(this.entries.map((entry) => entry.id));
    const before = answer.items.map(piece).filter((entry) => !known.has(entry.id));
    this.entries.unshift(...before);
    this.index += before.length;
    this.previous = answer.previous;
  }

  /** Go on after a label: to the next piece, in the queue to the next that has none. Waits only where none is loaded. */
  async advance() {
    do {
      while (this.index >= this.entries.length - 1 && !this.complete) await this.ensure();
      this.index = Math.min(this.index + 1, this.entries.length);
    } while (this.view === 'queue' && this.current?.label);
  }

  /** Look at this piece, which is put where the list is if it is not in it. */
  show(wanted) {
    const at = this.entries.findIndex((entry) => entry.id === wanted.id);
    if (at >= 0) {
      this.index = at;
    } else {
      this.entries.splice(this.index, 0, wanted);
    }
  }

  /** Take over the state of whole stretches of intervals: pieces may have been cut, joined or labelled. */
  put(pieces) {
    const current = this.current;
    // What is shown again blind has an id of its own, and is no part of its interval.
    const blind = new Map(pieces.filter((one) => one.blind).map((one) => [one.id, one]));
    const intervals = new Map();
    for (const one of pieces.filter((other) => !other.blind))
      intervals.set(one.interval, [...(intervals.get(one.interval) || []), one]);
    const there = new Set();
    const entries = [];
    for (const entry of this.entries) {
      const now = entry.blind ? null : intervals.get(entry.interval);
      if (!now) {
        entries.push(blind.get(entry.id) ?? entry);
        continue;
      }
      for (const one of standing(entry, now)) {
        if (!there.has(one.id)) entries.push(one);
        there.add(one.id);
      }
    }
    this.entries = entries;
    if (current) this.index = this.#indexOf(current);
  }

  #indexOf(wanted) {
    let at = this.entries.findIndex((entry) => entry.id === wanted.id);
    if (at < 0) {
      at = this.entries.findIndex(
        (entry) =>
          !entry.blind && entry.interval === wanted.interval && entry.from <= wanted.from && entry.to > wanted.from,
      );
    }
    return at < 0 ? Math.min(this.index, this.entries.length) : at;
  }
}

/** What stands for `entry` among the pieces of its interval as they are now. */
function standing(entry, pieces) {
  const within = pieces.filter((one) => one.from >= entry.from && one.from < entry.to);
  if (within.length > 0) return within.sort((a, b) => (a.from < b.from ? -1 : 1));
  const around = pieces.find((one) => one.from <= entry.from && one.to > entry.from);
  return [around || entry];
}
