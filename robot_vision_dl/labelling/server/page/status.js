/** Whether everything is saved, and short messages. */
import { byId } from './element.js';

const QUIET_MS = 1500;
const TOAST_MS = 3500;

/** The line at the top that says "saved" only when the server has said so of everything. */
export class Saved {
  constructor() {
    this.state = { pending: 0, failing: false };
    this.unreachable = false;
    this.timer = null;
  }

  /** `state`: pending, failing, ended, trouble. */
  show(state) {
    this.state = state;
    this.#draw();
  }

  /** Whether the server answers at all: an ApiError, or null when it does. */
  reach(error) {
    this.unreachable = error !== null && error.status === 0;
    this.refused = error !== null && error.status !== 0 ? error.message : null;
    this.#draw();
  }

  #draw() {
    const { pending, failing, ended, trouble } = this.state;
    let [kind, words] = ['saved', 'saved'];
    if (pending > 0 && ended) [kind, words] = ['failing', `${pending} not saved yet: ${trouble}`];
    else if (pending > 0 && failing) [kind, words] = ['failing', `${pending} not saved yet, trying again`];
    else if (pending > 0) [kind, words] = ['saving', `saving ${pending}`];
    else if (this.refused) [kind, words] = ['failing', this.refused];
    else if (this.unreachable) [kind, words] = ['away', 'saved; the server does not answer'];
    byId('saved').dataset.state = kind;
    byId('saved').dataset.pending = String(pending);
    byId('saved-text').textContent = words;
    byId('saved').title = trouble || '';
    // Said aloud only when it has been so for a while: at a label a second nobody wants to hear "saved" each time.
    clearTimeout(this.timer);
    if (this.said !== words) {
      this.timer = setTimeout(() => {
        this.said = words;
        byId('live-saved').textContent = words;
      }, QUIET_MS);
    }
  }
}

/** Say something to those who listen. */
export function say(words) {
  byId('live').textContent = words;
}

let timer = null;

/** Show a message for a moment. */
export function toast(words, kind = 'care') {
  const place = byId('toast');
  place.textContent = words;
  place.dataset.kind = kind;
  place.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => {
    place.hidden = true;
  }, TOAST_MS);
}
