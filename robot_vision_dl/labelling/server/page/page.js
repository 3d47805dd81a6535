/** The page: puts the parts together. */
import { Actions } from './actions.js';
import { get } from './api.js';
import { follow } from './changes.js';
import { bindCommands } from './commands.js';
import { Conflicts } from './conflicts.js';
import { findDialogue, lostDialogue, newClassDialogue, progressDialogue } from './dialogs.js';
import { byId, el, keycap } from './element.js';
import { Grid } from './grid.js';
import { Hold } from './hold.js';
import { ItemList } from './items.js';
import { LabelButtons, Labels, SPECIAL } from './labels.js';
import { Neighbours } from './neighbours.js';
import { Outbox } from './outbox.js';
import { Player, prefetchPictures } from './player.js';
import { Progress } from './progress.js';
import { drawProposal, spoken } from './proposal.js';
import { Saved, say, toast } from './status.js';
import { TimeBar, fetchPiece } from './timebar.js';
import { Views } from './views.js';

const PICTURES_AHEAD = 6;
const SPOKEN_AFTER_MS = 400;
const ADOPT_MS = 15_000;
const UNSENT_MS = 50;
const MOST_TRIES = 60;
const AGAIN = 'this piece is shown again on purpose, without what was said of it.';

class Page {
  constructor(queue) {
    this.queue = queue;
    this.labels = new Labels(queue.classes);
    this.list = new ItemList('queue');
    this.saved = new Saved();
    this.outbox = new Outbox(queue.queue_id, {
      onAnswer: (event, answer) => this.answered(event, answer),
      onState: (state) => this.saved.show(state),
    });
    this.actions = new Actions({
      outbox: this.outbox,
      lists: () => (this.grid.open ? [this.list, this.grid.list] : [this.list]),
      onPieces: (pieces) => this.changed(pieces),
      onConflict: (event, answer) => this.conflicts.add(event, answer),
      onProblem: toast,
    });
    this.player = new Player(byId('stage'), byId('strip'), { labels: this.labels });
    this.timebar = new TimeBar(byId('time'), this.labels, { onGo: (id) => this.visit(id) });
    this.neighbours = new Neighbours(byId('neighbours'), this.labels, { onGrid: () => this.openGrid() });
    this.grid = new Grid(byId('grid'), this.labels, {
      onClose: () => (this.list.view === 'queue' && this.piece?.label ? this.next() : this.draw()),
      onProblem: toast,
      announce: say,
    });
    this.progress = new Progress(this.labels, {
      onFigures: (figures) => this.views.counts(figures.counts ?? figures.views),
    });
    this.views = new Views(byId('views'), queue.views, { onView: (view) => this.open(view) });
    this.buttons = new LabelButtons(byId('classes'), this.labels, {
      onLabel: (name) => this.pressed(name),
      onNew: () => this.newClass(),
      onFind: () => this.find(),
      onTurn: () => this.turn(),
      onHold: (name) => this.hold.begin(name),
      onRelease: () => this.hold.endByPointer(),
    });
    this.hold = new Hold(this);
    this.conflicts = new Conflicts(this);
  }

  async start() {
    bindCommands(this);
    await this.#adopt();
    await this.#tellOfLost();
    setInterval(() => this.#adopt(), ADOPT_MS);
    this.views.counts(this.queue.counts);
    await this.open('queue', this.queue.first_open);
    this.saved.show({ pending: this.outbox.pending, failing: false });
    this.progress.refresh();
    follow({
      seq: this.queue.seq,
      tab: this.outbox.tab,
      onChange: (answer) => this.othersChanged(answer),
      onReach: (error) => this.saved.reach(error),
    });
  }

  /** Send what tabs have left that are gone. */
  async #adopt() {
    const left = await this.outbox.adopt().catch(() => 0);
    const words =
      left === 1
        ? '1 label of a page that was closed too early is'
        : `${left} labels of a page that was closed too early are`;
    if (left > 0) toast(`${words} saved now.`, 'good');
  }

  /** Say what was never saved and cannot be any more: after a new mining its pieces are others. */
  async #tellOfLost() {
    const lost = await this.outbox.ofOtherQueues().catch(() => []);
    if (lost.length > 0 && (await lostDialogue(lost.map(({ event }) => event)))) this.outbox.forget(lost);
  }

  /** Open a view; the queue at its first piece without a label, unless a cursor to `start` after is given. */
  async open(view, start) {
    this.grid.close();
    this.views.select(view);
    const opening = {};
    this.opening = opening;
    let list;
    try {
      const after = view === 'queue' && start === undefined ? (await this.#left()).first_open : start;
      list = new ItemList(view, after ?? null);
      await list.ensure();
    } catch (error) {
      if (this.opening !== opening) return;
      toast(`${this.views.name(view)}: ${error.message}`);
      this.views.select(this.list.view);
      return;
    }
    // Of two views that were asked for one after the other, the last one counts, whichever answer comes first.
    if (this.opening !== opening) return;
    this.list = list;
    document.body.dataset.view = view;
    this.draw();
  }

  /** What the server says of the queue once it has what was said here. */
  async #left() {
    for (let tries = 0; this.outbox.pending > 0 && tries < MOST_TRIES; tries += 1)
      await new Promise((resolve) => {
        setTimeout(resolve, UNSENT_MS);
      });
    const queue = await get('/api/queue');
    this.views.counts(queue.counts);
    return queue;
  }

  get piece() {
    return this.list.current;
  }

  // What is shown

  draw() {
    const { piece } = this;
    document.body.classList.toggle('at-end', piece === null);
    this.player.show(piece);
    this.timebar.show(piece);
    this.neighbours.show(piece);
    if (piece === null) {
      if (this.list.view === 'queue' && this.list.entries.length > 0) this.#drawLeft();
      else this.#drawEnd();
      return;
    }
    const place = this.list.index + 1;
    drawProposal(byId('proposal'), piece, this.labels, {
      onAccept: () => this.accept(),
      onLabel: (name) => this.pressed(name),
      position: el('span', { class: 'soft' }, this.#position(place)),
    });
    this.buttons.mark(piece.label?.name, piece.blind ? null : piece.proposals?.[0]?.[0]);
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => say(spoken(piece, place, this.list.total)), SPOKEN_AFTER_MS);
    prefetchPictures(this.list.entries.slice(this.list.index + 1, this.list.index + 1 + PICTURES_AHEAD));
    this.list.ensure().catch(() => {});
  }

  #position(place) {
    const { total, previous } = this.list;
    return total && previous === null ? `${place} of ${Math.max(place, total)}` : '';
  }

  /** At the end of the queue: go to what is left of it, which may have been put in behind. */
  async #drawLeft() {
    const { list } = this;
    const isHere = () => this.list === list && this.piece === null;
    byId('proposal').replaceChildren(el('p', { class: 'question' }, 'Looking for what is left …'));
    this.buttons.mark(null, null);
    try {
      const { counts, first_open: start } = await this.#left();
      if (!isHere()) return;
      if (this.outbox.pending === 0 && counts.open === 0) {
        this.#drawEnd();
        return;
      }
      if (this.outbox.pending > 0) throw new Error('not everything is saved yet');
      await this.open('queue', start);
      if (isHere()) throw new Error('the server does not answer');
      toast(`${counts.open} left, here is the first.`, 'good');
    } catch (error) {
      if (!isHere()) return;
      byId('proposal').replaceChildren(
        el('p', { class: 'question' }, el('strong', {}, 'Queue: not known whether something is left')),
        el('p', {}, `${error.message}. Press O to look again.`),
        el('button', { type: 'button', on: { click: () => this.nextOpen() } }, 'Next without a label ', keycap('O')),
      );
    }
  }

  #drawEnd() {
    const name = this.views.name(this.list.view);
    const empty = this.list.entries.length === 0;
    byId('proposal').replaceChildren(
      el('p', { class: 'question' }, el('strong', {}, empty ? `${name}: nothing here` : `${name}: done`)),
      el(
        'p',
        {},
        empty
          ? 'Choose another view above.'
          : 'That was the last one. Look at Disagreement and Unsure, or see whether you have done enough.',
      ),
      el(
        'div',
        { class: 'row' },
        empty ? null : el('button', { type: 'button', on: { click: () => this.back() } }, 'Back ', keycap('K')),
        el(
          'button',
          { type: 'button', class: 'main', on: { click: () => this.showProgress() } },
          'Have I done enough? ',
          keycap('M'),
        ),
      ),
    );
    this.buttons.mark(null, null);
    say(byId('proposal').textContent);
  }

  changed(pieces) {
    this.timebar.put(pieces);
    if (this.grid.open) this.grid.refresh();
  }

  // What a person does

  pressed(name) {
    if (this.hold.byPointer) return;
    if (this.grid.open) {
      const chosen = this.grid.selection;
      if (chosen.length === 0) toast('Choose pictures first.');
      else if (this.actions.label(chosen, name)) toast(`${chosen.length} labelled ${name}. U undoes.`, 'good');
      return;
    }
    if (this.advancing || !this.piece || !this.actions.label([this.piece], name)) return;
    this.next();
  }

  accept() {
    if (this.grid.open) return;
    const name = this.piece && !this.piece.blind && this.piece.proposals?.[0]?.[0];
    if (!name) toast('There is no proposal to accept: press the key of a label.');
    else this.pressed(name);
  }

  async next() {
    this.advancing = true;
    await this.list.advance().catch((error) => toast(error.message));
    this.advancing = false;
    this.draw();
  }

  async forward() {
    const { list } = this;
    if (list.index >= list.entries.length - 1) await list.ensure().catch((error) => toast(error.message));
    if (this.piece) list.index += 1;
    this.draw();
  }

  /** Go to the next piece of the queue that has no label. */
  nextOpen() {
    if (this.advancing) return null;
    return this.list.view === 'queue' && this.piece ? this.next() : this.open('queue');
  }

  async back() {
    const { list } = this;
    if (list.index === 0) await list.loadPrevious().catch((error) => toast(error.message));
    if (list.index > 0) list.index -= 1;
    this.draw();
  }

  cut() {
    const { piece, player } = this;
    if (!piece || this.grid.open) return;
    if (piece.blind) {
      toast(`No cut here: ${AGAIN}`);
      return;
    }
    player.stop();
    if (player.at === 0) toast('The cut comes before the picture that is shown: go to a later one with →.');
    else if (this.actions.cut(piece, player.frame)) this.draw();
  }

  clear() {
    const pieces = this.grid.open ? this.grid.selection : [this.piece];
    if (pieces[0]?.label && this.actions.clear(pieces)) this.draw();
  }

  undo() {
    const undone = this.actions.undo();
    if (undone === null) {
      toast('There is nothing to undo in this tab.');
      return;
    }
    const { event, pieces } = undone;
    if (!this.grid.open && pieces.length > 0) {
      this.list.show(pieces[0]);
      this.draw();
    }
    toast(event.kind === 'class' ? `Undone: there is no class ${event.name} any more.` : 'Undone.', 'good');
  }

  async newClass() {
    const problem = (name) =>
      name === '' ? 'Give it a name.' : this.labels.has(name) ? 'There is one of that name.' : null;
    const name = await newClassDialogue(problem);
    if (name === null || !this.actions.newClass(name)) return;
    this.setClasses([...this.labels.names.map((known) => ({ name: known })), { name }]);
    this.pressed(name);
  }

  async find() {
    const name = await findDialogue(this.labels, [...this.labels.names, ...SPECIAL.map((one) => one.name)]);
    if (name !== null) this.pressed(name);
  }

  turn() {
    this.labels.turn();
    this.buttons.draw();
    this.draw();
  }

  setClasses(classes) {
    this.labels.set(classes);
    this.buttons.draw();
    if (!this.grid.open) this.draw();
  }

  openGrid() {
    if (this.grid.open) this.grid.close();
    else if (this.piece?.blind) toast(`No look-alikes here: ${AGAIN}`);
    else if (this.piece) this.grid.show(this.piece);
  }

  async visit(id) {
    try {
      this.list.show(this.list.entries.find((entry) => !entry.blind && entry.id === id) ?? (await fetchPiece(id)));
      this.draw();
    } catch (error) {
      toast(error.message);
    }
  }

  besideInTime(by) {
    const beside = this.piece && this.timebar.beside(this.piece, by);
    if (beside) this.visit(beside.id);
  }

  async showProgress() {
    this.progress.refresh();
    await progressDialogue(this.progress.content());
  }

  // What the server and other tabs say

  async answered(event, answer) {
    const before = this.piece;
    this.actions.answered(event, answer);
    const classes = event.kind === 'undo' ? this.actions.undoneKind(event.event) === 'class' : event.kind === 'class';
    if (classes && (event.kind === 'undo' || answer.status === 'refused')) await this.askClasses();
    if (this.piece === null && this.outbox.pending === 0) this.progress.refresh();
    else this.progress.later();
    if (this.piece !== before && !this.grid.open) this.draw();
  }

  async othersChanged({ events, items }) {
    const before = this.piece;
    this.actions.take(items ?? []);
    this.progress.later();
    if (this.piece !== before && !this.grid.open) this.draw();
    if ((events ?? []).some((event) => event.kind === 'class' || event.kind === 'undo')) await this.askClasses();
  }

  async askClasses() {
    const queue = await get('/api/queue').catch(() => null);
    if (queue && queue.queue_id === this.queue.queue_id) this.setClasses(queue.classes);
  }
}

async function begin() {
  for (let wait = 500; ; wait = Math.min(5000, 2 * wait)) {
    try {
      const queue = await get('/api/queue');
      await new Page(queue).start();
      return;
    } catch (error) {
      byId('saved-text').textContent = error.status ? 'no access' : 'no answer yet, trying again';
      byId('saved').dataset.state = 'failing';
      if (error.status)
        byId('proposal').replaceChildren(el('p', { class: 'question' }, el('strong', {}, error.message)));
      if (error.status && !error.ended) return;
      if (!(error instanceof Error) || error.name !== 'Error') console.error(error);
      await new Promise((resolve) => {
        setTimeout(resolve, wait);
      });
    }
  }
}

begin();
