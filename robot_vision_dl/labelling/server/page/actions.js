/**
 * What a person does: an event for the server, and its effect on the page at once.
 *
 * The page does not wait for the server. It shows what the event will do, and takes over what the server says of the
 * intervals concerned as soon as no other event on them is on its way.
 */
import { cutPiece, piece } from './items.js';
import { itemsOf } from './outbox.js';

const MOST_UNDONE = 500;
/** In one event: the server takes 1000. */
const MOST_PIECES = 500;

/** Labels, cuts and their undoing. `lists()` gives all lists that show pieces. */
export class Actions {
  constructor({ outbox, lists, onPieces, onConflict, onProblem }) {
    Object.assign(this, { outbox, lists, onPieces, onConflict, onProblem });
    this.done = [];
    this.takenBack = new Map();
    this.failed = new Set();
  }

  /** Label pieces, knowing of all events up to `base`, else of those that the pieces tell. Gives whether it was taken. */
  label(pieces, name, base = null) {
    return this.#labelled(pieces, { kind: 'label', label: name }, { name, who: 'you', pending: true }, base);
  }

  /** Take the labels of pieces away. */
  clear(pieces, base = null) {
    return this.#labelled(pieces, { kind: 'clear' }, null, base);
  }

  #labelled(pieces, event, label, base) {
    if (pieces.length > MOST_PIECES) {
      const rest = pieces.slice(MOST_PIECES);
      return (
        this.#labelled(pieces.slice(0, MOST_PIECES), event, label, base) && this.#labelled(rest, event, label, base)
      );
    }
    const named =
      pieces.length === 1
        ? { item: pieces[0].id, base: base ?? pieces[0].version }
        : {
            items: pieces.map((one) => one.id),
            base: base ?? Object.fromEntries(pieces.map((one) => [one.id, one.version])),
          };
    return this.#act(
      { ...event, ...named },
      pieces,
      pieces.map((one) => ({ ...one, label })),
    );
  }

  /** Cut a piece before one of its pictures. */
  cut(whole, frame) {
    const parts = cutPiece(whole, [BigInt(frame.stamp_ns)]);
    if (parts.length < 2) return false;
    return this.#act({ kind: 'cut', item: whole.id, base: whole.version, at_ns: frame.stamp_ns }, [whole], parts);
  }

  /** Label the stretch [from_ns, to_ns) of a piece; gives its parts, or null. */
  span(whole, fromNs, toNs, name) {
    const [from, to] = [BigInt(fromNs), BigInt(toNs)];
    const parts = cutPiece(whole, [from, to]).map((part) =>
      part.from >= from && part.from < to ? { ...part, label: { name, who: 'you', pending: true } } : part,
    );
    const event = { kind: 'span', item: whole.id, base: whole.version, from_ns: fromNs, to_ns: toNs, label: name };
    return this.#act(event, [whole], parts) ? parts : null;
  }

  /** Make a class. */
  newClass(name) {
    return this.#act({ kind: 'class', name }, [], []);
  }

  /** Undo the last thing that was done in this tab; gives the event and the pieces that it concerned, or null. */
  undo() {
    const last = this.done.at(-1);
    if (!last) return null;
    if (!this.#keep({ kind: 'undo', event: last.event.id }, itemsOf(last.event))) return null;
    this.done.pop();
    this.takenBack.set(last.event.id, last.event.kind);
    this.#show(last.before);
    return { event: last.event, pieces: last.before };
  }

  /** What kind of event was undone here; undefined: none of this tab's. */
  undoneKind(id) {
    return this.takenBack.get(id);
  }

  #act(event, before, after) {
    const kept = this.#keep(event);
    if (!kept) return false;
    this.done.push({ event: kept, before });
    if (this.done.length > MOST_UNDONE) this.done.shift();
    this.#show(after);
    return true;
  }

  #keep(event, touches) {
    const whole = { id: crypto.randomUUID(), ...event };
    if (this.outbox.add(whole, touches)) return whole;
    this.onProblem('This browser cannot keep more labels that are not saved. Wait until the server answers again.');
    return null;
  }

  #show(now) {
    for (const list of this.lists()) list.put(now);
    this.onPieces(now);
  }

  /** Take over what the server says of an event of this browser. */
  answered(event, answer) {
    const failed = answer.status === 'conflict' || answer.status === 'refused';
    if (failed) {
      this.failed.add(event.id);
      this.#putBack(event);
    }
    this.take(answer.items || []);
    // What was undone before the answer came needs no words, nor has its undoing anything to undo.
    if (!failed || this.takenBack.has(event.id) || this.failed.has(event.event)) return;
    if (answer.status === 'conflict') this.onConflict(event, answer);
    else this.onProblem(`Not ${event.kind === 'undo' ? 'undone' : 'saved'}: ${answer.reason}.`);
  }

  #putBack(event) {
    const mine = this.done.find((one) => one.event.id === event.id);
    this.done = this.done.filter((one) => one !== mine);
    if (mine) this.#show(mine.before.filter((one) => !this.outbox.concerns(one.interval)));
  }

  /** Show the state of pieces as the server has them, apart from those that an event on its way concerns. */
  take(sent) {
    const pieces = sent.map(piece).filter((one) => !this.outbox.concerns(one.interval));
    if (pieces.length === 0) return;
    for (const list of this.lists()) list.put(pieces);
    this.onPieces(pieces);
  }
}
