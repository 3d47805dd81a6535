/** What the model says of a piece, how much it doubts and why; and what people have said. */
import { clock, el, foreign, keycap, percent } from './element.js';

const DOUBTS = [
  [0.25, 'sure'],
  [0.5, 'fairly sure'],
  [0.75, 'in doubt'],
  [Infinity, 'in great doubt'],
];
const REASONS = {
  unknown: 'looks like none of the classes',
  uncertain: 'cannot decide',
  flickering: 'changes its mind from frame to frame',
  label: 'the given label is likely wrong',
  camera_fault: 'the camera is at fault',
  random: 'drawn at random, to estimate accuracy',
  sure: 'nothing unusual',
};

/** A doubt from 0 to 1 in words. */
export function doubtInWords(doubt) {
  return DOUBTS.find(([below]) => doubt < below)[1];
}

/** A proposal's probability; `unknown` has none beside those of the classes. */
function share([name, p]) {
  return name === 'unknown' ? '' : percent(p);
}

/** Draw it into `place`. */
export function drawProposal(place, piece, labels, { onAccept, onLabel, position }) {
  const [first, ...others] = piece.proposals ?? [];
  const parts = [el('p', { class: 'question' }, el('strong', {}, 'What is this?'), position)];
  if (piece.blind || !first) {
    parts.push(
      el(
        'p',
        { class: 'says' },
        piece.blind
          ? 'Shown again on purpose, to see how often you agree with yourself. No proposal this time: label what you see.'
          : 'The model proposes nothing.',
      ),
    );
  } else {
    parts.push(
      el(
        'button',
        { type: 'button', class: 'accept', 'aria-keyshortcuts': 'Enter', on: { click: onAccept } },
        labels.swatch(first[0]),
        el('span', { class: 'words' }, el('small', {}, 'The model says'), foreign(first[0])),
        el('span', { class: 'number' }, share(first)),
        keycap('Enter'),
      ),
      el(
        'p',
        { class: 'others' },
        others.length > 0 ? 'else ' : '',
        ...others
          .slice(0, 2)
          .map(([name, p]) =>
            el(
              'button',
              { type: 'button', class: 'other', on: { click: () => onLabel(name) } },
              foreign(name),
              ` ${percent(p)}`,
            ),
          ),
      ),
      surenessBar(piece),
      el('p', { class: 'reason' }, piece.explanation || REASONS[piece.reason] || piece.reason),
    );
  }
  if (piece.given && !piece.blind)
    parts.push(el('p', { class: 'given' }, 'Labelled before in the recording: ', labels.tag(piece.given)));
  if (piece.label) {
    parts.push(
      el(
        'p',
        { class: 'yours' },
        'Label: ',
        labels.tag(piece.label.name),
        piece.label.who && piece.label.who !== 'you'
          ? el('span', { class: 'soft' }, ' by ', foreign(piece.label.who))
          : null,
      ),
    );
  }
  place.replaceChildren(...parts);
}

/** Words, and a bar that is full where there is no doubt. */
function surenessBar({ doubt, reason }) {
  const bar = el('span', { class: 'bar', 'aria-hidden': 'true' }, el('span'));
  bar.firstChild.style.width = `${Math.round(100 * (1 - Math.max(0, Math.min(1, doubt))))}%`;
  const words = `${reason === 'label' ? 'The label before' : 'It'} is ${doubtInWords(doubt)}`;
  return el('p', { class: 'sureness' }, el('span', {}, words), bar);
}

/** The same as one sentence, for those who listen. */
export function spoken(piece, place, total) {
  const where = `Piece ${place}${total ? ` of ${total}` : ''}, ${clock(piece.start_s)} of ${piece.recording}.`;
  const label = piece.label ? ` Labelled ${piece.label.name}.` : '';
  const [first] = piece.proposals ?? [];
  if (piece.blind || !first) return `${where} No proposal.${label}`;
  const says = [first[0], share(first)].filter(Boolean).join(', ');
  return `${where} The model says ${says}, and is ${doubtInWords(piece.doubt)}.${label}`;
}
