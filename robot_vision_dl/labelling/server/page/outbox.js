/**
 * What was done and is not saved yet.
 *
 * An event goes into the browser's storage before anything else happens, and leaves it when the server has answered that it
 * is in its database. Until then it is sent again and again, always with the same id, so that the server can tell
 * that it has it already. Each tab keeps events of its own; those of a tab that is gone are sent by the next one.
 */
import { post } from './api.js';

/** What one request may hold: the server takes 200 events and 512 KiB. */
const MOST_EVENTS = 50;
const MOST_CHARACTERS = 100_000;
const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 4000;
/** What the keys of all queues in the browser's storage begin with. */
const ALL = 'robot-vision-label:';

/** The events of one tab for one queue. `onAnswer(event, answer)` is told what became of each; `onState(state)` shows it. */
export class Outbox {
  constructor(queue, { onAnswer, onState }) {
    this.queue = queue;
    this.tab = crypto.randomUUID();
    this.onAnswer = onAnswer;
    this.onState = onState;
    this.events = [];
    this.count = 0;
    this.failures = 0;
    this.wary = false;
    this.trouble = '';
    this.sending = false;
    this.wake = null;
    // Held as long as this tab lives, so that others do not take its events for those of a tab that is gone.
    navigator.locks?.request(lockName(this.tab), () => new Promise(() => {}));
    addEventListener('online', () => this.#hurry());
    addEventListener('pageshow', () => this.#hurry());
  }

  /** How many events the server has not yet confirmed. */
  get pending() {
    return this.events.length;
  }

  /** Whether an event that is not confirmed concerns this interval. */
  concerns(interval) {
    return this.events.some(({ touches }) => touches.some((id) => id.startsWith(`${interval}-`)));
  }

  /**
   * Keep an event and send it; `touches` are the ids of the pieces that it concerns.
   *
   * @returns {boolean} false where the browser's storage is full: nothing was kept, and nothing may be shown as done.
   */
  add(event, touches = itemsOf(event)) {
    const key = `${prefix(this.queue)}${this.tab}:${String(this.count).padStart(8, '0')}`;
    try {
      localStorage.setItem(key, JSON.stringify(event));
    } catch {
      return false;
    }
    this.count += 1;
    this.events.push({ key, event, touches });
    this.#tell();
    this.#run();
    return true;
  }

  /** Send what tabs that are gone have left; a failure leaves it for later. */
  async adopt() {
    const left = new Map();
    for (const key of Object.keys(localStorage)
      .filter((name) => name.startsWith(prefix(this.queue)))
      .sort()) {
      const tab = key.slice(prefix(this.queue).length).split(':')[0];
      if (tab !== this.tab) left.set(tab, [...(left.get(tab) || []), key]);
    }
    let saved = 0;
    for (const [tab, keys] of left) {
      if (!navigator.locks) continue;
      saved += await navigator.locks.request(lockName(tab), { ifAvailable: true }, async (lock) => {
        if (lock === null) return 0;
        const stored = keys.map((key) => ({ key, event: parsed(localStorage.getItem(key)) }));
        for (const one of stored.filter(({ event }) => event === null)) localStorage.removeItem(one.key);
        const events = stored.filter(({ event }) => event !== null);
        for (let start = 0; start < events.length;) {
          const part = batch(events.slice(start));
          await this.#send(tab, part);
          start += part.length;
        }
        return events.length;
      });
    }
    return saved;
  }

  /** What tabs that are gone have left of a queue that was here before: `{key, event}` each. */
  async ofOtherQueues() {
    const { held } = (await navigator.locks?.query()) ?? { held: [] };
    const alive = new Set(held.map((lock) => lock.name));
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(ALL) && !key.startsWith(prefix(this.queue)))
      .filter((key) => !alive.has(lockName(key.split(':')[2])))
      .sort()
      .map((key) => ({ key, event: parsed(localStorage.getItem(key)) }));
  }

  /** Remove what was left. */
  forget(left) {
    for (const { key } of left) localStorage.removeItem(key);
  }

  async #send(tab, part) {
    const { answers, seq } = await post('/api/events', {
      queue: this.queue,
      tab,
      events: part.map(({ event }) => event),
    });
    const byId = new Map(answers.map((answer) => [answer.id, answer]));
    const done = part.filter(({ event }) => byId.has(event.id));
    for (const { key } of done) localStorage.removeItem(key);
    this.events = this.events.filter((one) => !done.includes(one));
    this.failures = 0;
    this.trouble = '';
    for (const { event } of done) this.onAnswer(event, { ...byId.get(event.id), now: seq });
    return done.length;
  }

  async #run() {
    if (this.sending) return;
    this.sending = true;
    while (this.events.length > 0) {
      try {
        const sent = await this.#send(this.tab, this.wary ? this.events.slice(0, 1) : batch(this.events));
        this.wary = false;
        if (sent === 0) throw new Error('the server did not answer for what was sent');
      } catch (error) {
        this.failures += 1;
        this.trouble = error.message;
        // One that the server cannot take must not hold up those before it.
        this.wary = error.status >= 400 && error.status < 500;
        this.ended = Boolean(error.ended) || error.status === 409;
        this.#tell();
        await this.#pause();
        continue;
      }
      this.#tell();
    }
    this.sending = false;
  }

  #pause() {
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.failures - 1));
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, pause);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #hurry() {
    this.wake?.();
  }

  #tell() {
    this.onState({
      pending: this.pending,
      failing: this.failures > 0,
      ended: this.failures > 0 && this.ended,
      trouble: this.trouble,
    });
  }
}

/** Ids of the pieces that an event names. */
export function itemsOf(event) {
  return event.items || (event.item ? [event.item] : []);
}

/** As many of the first events as go into one request. */
function batch(events) {
  let [count, size] = [0, 0];
  while (count < Math.min(events.length, MOST_EVENTS)) {
    size += JSON.stringify(events[count].event).length;
    if (count > 0 && size > MOST_CHARACTERS) break;
    count += 1;
  }
  return events.slice(0, count);
}

function prefix(queue) {
  return `${ALL}${queue}:`;
}

function lockName(tab) {
  return `robot-vision-label-tab:${tab}`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
