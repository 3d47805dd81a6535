/** Labels that another tab or program was quicker with: one question each, one after another. */
import { conflictDialogue } from './dialogs.js';
import { piece } from './items.js';
import { itemsOf } from './outbox.js';

/** The conflicts of a page. */
export class Conflicts {
  constructor(page) {
    this.page = page;
    this.last = Promise.resolve();
  }

  /** Ask about an event that was not stored, when what was asked before is answered. */
  add(event, answer) {
    this.last = this.last.then(() => this.#resolve(event, answer));
  }

  async #resolve(event, answer) {
    const { page } = this;
    const ids = itemsOf(event);
    const changed = (answer.items ?? []).filter((one) => ids.includes(one.id)).map(piece);
    const [first] = changed;
    const labels = event.kind === 'label' || event.kind === 'clear';
    const chosen = await conflictDialogue({
      picture: first?.frames[0]?.picture,
      count: changed.length,
      mine: labels && first ? (event.label ?? '') : null,
      theirs: first?.label?.name,
      who: first?.label?.who === page.queue.who ? 'you, in another tab,' : first?.label?.who,
      reason: answer.reason,
      labels: page.labels,
    });
    // Of many pieces, those that nobody else has touched are labelled in any case.
    const known = [...page.list.entries, ...(page.grid.list?.entries ?? []), ...changed];
    const byId = new Map(known.map((one) => [one.id, one]));
    const wanted = ids.filter((id) => chosen === 'mine' || !changed.some((one) => one.id === id));
    const again = wanted.map((id) => byId.get(id)).filter(Boolean);
    if (labels && again.length > 0 && (chosen === 'mine' || ids.length > 1)) {
      if (event.kind === 'label') page.actions.label(again, event.label, answer.now);
      else page.actions.clear(again, answer.now);
    }
    page.draw();
  }
}
