/** Keys: which one does what, in the words that the help shows. */
import { dialogOpen } from './dialogs.js';

const HOLD_MS = 300;

/** The groups of the help. */
export const HELP = [
  [
    'Label',
    [
      [['1', '…', '9'], 'give this class, and go on'],
      [['Enter'], 'accept what the model says'],
      [['0'], 'unknown: none of the classes'],
      [['-'], 'unsure: you cannot tell'],
      [['X'], 'ignore: of no use'],
      [['N'], 'new class'],
      [['/'], 'find a class by its name'],
      [[';'], 'next nine classes'],
      [['Del'], 'take the label away'],
      [['U'], 'undo'],
    ],
  ],
  [
    'Look',
    [
      [['Space'], 'play, pause'],
      [['←', '→'], 'picture before, after'],
      [['J', 'K'], 'next piece, piece before'],
      [['O'], 'next piece of the queue without a label'],
      [['[', ']'], 'earlier, later in the recording'],
      [['G'], 'look-alikes, to label many at once'],
      [['M'], 'have I done enough?'],
      [['▮'], 'at a small picture: how sure the model is of it'],
    ],
  ],
  [
    'Parts of a piece',
    [
      [['B'], 'cut before the picture that is shown'],
      [['hold 1 … 9'], 'while it plays: label from here until you let go'],
    ],
  ],
  [
    'Look-alikes',
    [
      [['Shift'], 'with arrows or a click: a range'],
      [['Space', 'Ctrl'], 'single ones'],
      [['A'], 'all, none'],
      [['Esc'], 'back'],
    ],
  ],
];

/**
 * Listen to keys. `commands` maps keys (small letters) to functions; `name(key)` gives the label that a key
 * stands for; `press(name)` labels; `hold(name)` begins a stretch while the film plays (giving whether it did) and `release(tap)` ends it.
 */
export function listen({ commands, name, press, hold, release }) {
  let held = null;
  addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || dialogOpen())
      return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest('input, textarea, select')) return;
    if ((event.key === 'Enter' || event.key === ' ') && target.closest('button, a')) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const label = name(key);
    if (label !== null) {
      event.preventDefault();
      if (event.repeat || held) return;
      if (hold(label)) held = { code: event.code, since: performance.now() };
      else press(label);
    } else if (commands[key]) {
      event.preventDefault();
      if (!event.repeat || ['j', 'k', 'ArrowLeft', 'ArrowRight'].includes(key)) commands[key]();
    }
  });
  addEventListener('keyup', (event) => {
    if (held === null || event.code !== held.code) return;
    const tap = performance.now() - held.since < HOLD_MS;
    held = null;
    release(tap);
  });
  addEventListener('blur', () => {
    if (held === null) return;
    held = null;
    release(false);
  });
}
