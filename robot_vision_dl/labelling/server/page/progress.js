/** How far it is, how good it is, and whether more labels would help. */
import { get } from './api.js';
import { byId, el, percent } from './element.js';

const PAUSE_MS = 4000;
const SVG = 'http://www.w3.org/2000/svg';

/** The figures of `/api/progress`, asked for again a while after labels were saved. */
export class Progress {
  constructor(labels, { onFigures }) {
    Object.assign(this, { labels, onFigures });
    this.figures = null;
    this.timer = null;
    this.place = null;
  }

  /** Ask now. */
  async refresh() {
    clearTimeout(this.timer);
    this.timer = null;
    try {
      this.figures = await get('/api/progress');
    } catch {
      return;
    }
    this.#draw();
    this.onFigures(this.figures);
    if (this.place?.isConnected) this.place.replaceWith(this.content());
    if (this.figures.computing) this.later();
  }

  /** Ask in a while; any number of calls makes one question. */
  later() {
    this.timer ??= setTimeout(() => this.refresh(), PAUSE_MS);
  }

  #draw() {
    const { labelled, total, per_minute: rate } = this.figures;
    byId('meter-text').textContent = `${labelled} of ${total} labelled${rate ? ` · ${Math.round(rate)} a minute` : ''}`;
    byId('meter-bar').firstElementChild.style.width = `${total ? (100 * labelled) / total : 0}%`;
    byId('meter').setAttribute('aria-label', `${labelled} of ${total} labelled. Have I done enough?`);
  }

  /** What the dialogue "Have I done enough?" shows. */
  content() {
    const { figures, labels } = this;
    if (!figures) {
      this.place = el('p', {}, 'The server has not answered yet.');
      return this.place;
    }
    const most = Math.max(1, ...Object.values(figures.classes ?? {}));
    this.place = el(
      'div',
      { class: 'progress' },
      figures.enough ? el('p', { class: 'enough' }, figures.enough) : null,
      el(
        'div',
        { class: 'figures' },
        figure(
          'labelled',
          `${figures.labelled} of ${figures.total}`,
          figures.per_minute ? `${Math.round(figures.per_minute)} a minute` : '',
        ),
        figure(
          'the model is right',
          shareOf(figures.random?.accuracy),
          of(
            figures.random?.interval,
            figures.random?.n,
            figures.random?.learned
              ? `drawn at random, without ${figures.random.learned} that the model has learned from`
              : 'drawn at random',
          ),
        ),
        figure(
          'you agree with yourself',
          share(figures.self_agreement),
          of(figures.self_agreement?.interval, figures.self_agreement?.n, 'shown again'),
        ),
        figure(
          'you agree with the model',
          share(figures.model_agreement),
          of(figures.model_agreement?.interval, figures.model_agreement?.n, 'labels'),
        ),
      ),
      curve(figures.curve ?? []),
      el('h3', {}, 'Labels by class'),
      el(
        'ul',
        { class: 'counts' },
        ...Object.entries(figures.classes ?? {}).map(([name, count]) => {
          const bar = el('span', { class: labels.paint(name) });
          bar.style.width = `${(100 * count) / most}%`;
          return el(
            'li',
            {},
            labels.tag(name),
            el('span', { class: 'track' }, bar),
            el('span', { class: 'number' }, String(count)),
          );
        }),
      ),
    );
    return this.place;
  }
}

function shareOf(value) {
  return value === null || value === undefined ? '–' : percent(value);
}

function share(figure) {
  if (typeof figure === 'number') return percent(figure);
  return figure?.n ? percent(figure.agree / figure.n) : '–';
}

function of(interval, n, words) {
  if (!n) return `none ${words} yet`;
  return `${interval ? `${percent(interval[0])} to ${percent(interval[1])}, ` : ''}${n} ${words}`;
}

function figure(words, value, more) {
  return el(
    'div',
    { class: 'figure' },
    el('b', {}, value),
    el('span', {}, words),
    el('small', { class: 'soft' }, more),
  );
}

/** The learning curve: accuracy by number of labels, with its interval. */
function curve(points) {
  if (points.length < 2) return el('p', { class: 'soft' }, 'A learning curve appears here when there are more labels.');
  const [width, height, left, bottom] = [420, 150, 44, 20];
  const most = Math.max(...points.map((point) => point.labels));
  const x = (labels) => left + ((width - left - 8) * labels) / most;
  const y = (accuracy) => 8 + (height - bottom - 8) * (1 - accuracy);
  const svg = make('svg', {
    viewBox: `0 0 ${width} ${height}`,
    role: 'img',
    class: 'curve',
    'aria-label': `Learning curve: ${points.map((point) => `${percent(point.accuracy)} with ${point.labels} labels`).join(', ')}`,
  });
  for (const level of [0, 0.5, 1]) {
    svg.append(
      make('line', { x1: left, x2: width - 8, y1: y(level), y2: y(level), class: 'rule' }),
      make('text', { x: left - 6, y: y(level) + 4, class: 'end' }, `${100 * level} %`),
    );
  }
  const banded = points.filter((point) => point.interval);
  if (banded.length > 1) {
    const edge = [
      ...banded.map((point) => [x(point.labels), y(point.interval[1])]),
      ...banded.reverse().map((point) => [x(point.labels), y(point.interval[0])]),
    ];
    svg.append(make('polygon', { points: edge.map((at) => at.join(',')).join(' '), class: 'band' }));
  }
  svg.append(
    make('polyline', {
      points: points.map((point) => `${x(point.labels)},${y(point.accuracy)}`).join(' '),
      class: 'line',
    }),
    ...points.map((point) => make('circle', { cx: x(point.labels), cy: y(point.accuracy), r: 3, class: 'dot' })),
    make('text', { x: x(points[0].labels), y: height - 4 }, `${points[0].labels} labels`),
    make('text', { x: width - 8, y: height - 4, class: 'end' }, `${most}`),
  );
  return el(
    'figure',
    {},
    svg,
    el('figcaption', { class: 'soft' }, 'Accuracy on held-out labels, by how many others were learnt from.'),
  );
}

function make(tag, attributes, text = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text !== null) element.textContent = text;
  return element;
}
