/** The views of the queue, as tabs at the top. */
import { el } from './element.js';

const NAMES = {
  queue: 'Queue',
  disagreement: 'Disagreement',
  unsure: 'Unsure',
  labelled: 'Labelled',
  camera_faults: 'Camera faults',
  all: 'All',
};

/** The tabs. */
export class Views {
  constructor(place, views, { onView }) {
    this.buttons = new Map(
      views
        .filter((view) => !view.startsWith('alike'))
        .map((view) => {
          const count = el('span', { class: 'count' });
          const button = el('button', { type: 'button', on: { click: () => onView(view) } }, this.name(view), count);
          return [view, { button, count }];
        }),
    );
    place.append(...[...this.buttons.values()].map(({ button }) => button));
  }

  /** The name of a view, for people. */
  name(view) {
    return NAMES[view] ?? view;
  }

  /** Show which one is open. */
  select(view) {
    for (const [name, { button }] of this.buttons) {
      if (name === view) button.setAttribute('aria-current', 'page');
      else button.removeAttribute('aria-current');
    }
  }

  /** Show how many pieces each has. */
  counts(counts) {
    for (const [view, { count }] of this.buttons) {
      const n = view === 'queue' ? (counts?.open ?? counts?.queue) : counts?.[view];
      count.textContent = Number.isInteger(n) ? ` ${n.toLocaleString('en')}${view === 'queue' ? ' left' : ''}` : '';
    }
  }
}
