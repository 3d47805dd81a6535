/** What happens in other tabs and programs, as long as this page is looked at. */
import { get } from './api.js';

const WAIT_S = 20;
const HIDDEN_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 5000;

/**
 * Follow the events after `seq` until the page ends. `onChange({events, items})` is told of what others did,
 * `onReach(error)` whether the server answers: null when it does.
 */
export async function follow({ seq, tab, onChange, onReach }) {
  let failures = 0;
  for (;;) {
    // A hidden tab does not keep a connection: a browser has six to one server, which the tab in front needs.
    if (document.hidden) await shownOrLater(HIDDEN_PAUSE_MS);
    try {
      // At once after a failure: so that the page learns that the server is there again.
      const wait = document.hidden || failures > 0 ? 0 : WAIT_S;
      const answer = await get('/api/changes', { after: seq, tab, wait }, (WAIT_S + 10) * 1000);
      failures = 0;
      onReach(null);
      if (answer.seq !== seq) await onChange(answer);
      seq = answer.seq;
    } catch (error) {
      failures += 1;
      onReach(error);
      await shownOrLater(Math.min(LONGEST_PAUSE_MS, 300 * 2 ** failures));
    }
  }
}

function shownOrLater(milliseconds) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
      resolve();
    };
    const seen = () => !document.hidden && done();
    const timer = setTimeout(done, milliseconds);
    document.addEventListener('visibilitychange', seen);
  });
}
