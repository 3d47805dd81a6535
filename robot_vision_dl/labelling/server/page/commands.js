/** What keys and buttons call. */
import { helpDialogue } from './dialogs.js';
import { byId, el, keycap } from './element.js';
import { HELP, listen } from './keys.js';
import { SPECIAL } from './labels.js';

const BUTTONS = [
  ['Back', 'k', 'K'],
  ['Next', 'j', 'J'],
  ['Play', ' ', 'Space'],
  ['Cut', 'b', 'B'],
  ['Undo', 'u', 'U'],
  ['Alike', 'g', 'G'],
];

/** Bind them to a page. */
export function bindCommands(page) {
  const single = {
    Enter: () => page.accept(),
    ' ': () => page.player.toggle(),
    j: () => page.forward(),
    k: () => page.back(),
    o: () => page.nextOpen(),
    b: () => page.cut(),
    ArrowLeft: () => page.player.step(-1),
    ArrowRight: () => page.player.step(1),
    '[': () => page.besideInTime(-1),
    ']': () => page.besideInTime(1),
  };
  const commands = {
    u: () => page.undo(),
    g: () => page.openGrid(),
    n: () => page.newClass(),
    '/': () => page.find(),
    ';': () => page.turn(),
    m: () => page.showProgress(),
    '?': () => helpDialogue(HELP),
    Delete: () => page.clear(),
    Backspace: () => page.clear(),
    Escape: () => page.grid.close(),
  };
  // What is about the one piece that is shown does nothing where many are.
  for (const [key, act] of Object.entries(single)) commands[key] = () => page.grid.open || act();
  listen({
    commands,
    name: (key) => labelOf(page, key),
    press: (name) => page.pressed(name),
    hold: (name) => page.hold.begin(name),
    release: (tap) => page.hold.end(tap),
  });
  byId('actions').append(
    ...BUTTONS.map(([words, key, shown]) =>
      el(
        'button',
        { type: 'button', class: 'quiet', 'aria-keyshortcuts': shown, on: { click: () => commands[key]() } },
        words,
        ' ',
        keycap(shown),
      ),
    ),
  );
  byId('help').addEventListener('click', commands['?']);
  byId('meter').addEventListener('click', commands.m);
  // After a click the keys are for the page again, not for the button that was clicked.
  document.addEventListener('click', (event) => {
    if (event.detail > 0 && !document.querySelector('dialog[open]') && !page.grid.open)
      byId('stage').focus({ preventScroll: true });
  });
  addEventListener('beforeunload', (event) => page.outbox.pending > 0 && event.preventDefault());
}

/** The label that a key stands for, or null. */
function labelOf(page, key) {
  const special = SPECIAL.find((one) => one.key === key);
  if (special) return special.name;
  return /^[1-9]$/.test(key) ? (page.labels.atDigit(Number(key)) ?? null) : null;
}
