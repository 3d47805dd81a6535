/** The page: puts the parts together. */
import { Actions } from './actions.js';
import { get } from './api.js';
import { follow } from './changes.js';
import { conflictDialogue, findDialogue, helpDialogue, newClassDialogue, progressDialogue } from './dialogs.js';
import { byId, el, keycap } from './element.js';
import { Grid } from './grid.js';
import { ItemList, piece } from './items.js';
import { HELP, listen } from './keys.js';
import { LabelButtons, Labels, SPECIAL } from './labels.js';
import { Neighbours } from './neighbours.js';
import { Outbox, itemsOf } from './outbox.js';
import { Player, prefetchPictures } from './player.js';
import { Progress } from './progress.js';
import { drawProposal, spoken } from './proposal.js';
import { Saved, say, toast } from './status.js';
import { TimeBar, fetchPiece } from './timebar.js';
import { Views } from './views.js';

const PICTURES_AHEAD = 6;
const SPOKEN_AFTER_MS = 400;

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
      onConflict: (event, answer) => this.conflict(event, answer),
      onProblem: toast,
    });
    this.player = new Player(byId('stage'), byId('strip'), { labels: this.labels });
    this.timebar = new TimeBar(byId('time'), this.labels, { onGo: (id) => this.visit(id) });
    this.neighbours = new Neighbours(byId('neighbours'), this.labels, { onGrid: () => this.openGrid() });
    this.grid = new Grid(byId('grid'), this.labels, { onClose: () => this.draw(), onProblem: toast, announce: say });
    this.progress = new Progress(this.labels, { onFigures: (figures) => this.views.counts(figures.counts ?? figures.views) });
    this.views = new Views(byId('views'), queue.views, { onView: (view) => this.open(view) });
    this.buttons = new LabelButtons(byId('classes'), this.labels, {
      onLabel: (name) => this.pressed(name), onNew: () => this.newClass(), onFind: () => this.find(), onTurn: () => this.turn(),
      onHold: (name) => this.hold(name), onRelease: () => this.releasedByPointer(),
    });
    this.held = null;
    this.conflicts = Promise.resolve();
  }

  async start() {
    this.commands();
    const left = await this.outbox.adopt().catch(() => 0);
    if (left > 0) toast(`${left} label${left === 1 ? '' : 's'} of a page that was closed too early ${left === 1 ? 'is' : 'are'} saved now.`, 'good');
    this.views.counts(this.queue.counts);
    await this.open('queue', this.queue.first_open);
    this.saved.show({ pending: this.outbox.pending, failing: false });
    this.progress.refresh();
    follow({
      seq: this.queue.seq, tab: this.outbox.tab, onChange: (answer) => this.othersChanged(answer),
      onReach: (error) => this.saved.reach(error),
    });
  }

  async open(view, start = null) {
    this.views.select(view);
    const list = new ItemList(view, start ?? null);
    try {
      await list.ensure();
    } catch (error) {
      toast(`${this.views.name(view)}: ${error.message}`);
      return;
    }
    this.list = list;
    this.draw();
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
      this.#drawEnd();
      return;
    }
    const place = this.list.index + 1;
    drawProposal(byId('proposal'), piece, this.labels, {
      onAccept: () => this.accept(), position: el('span', { class: 'soft' }, this.#position(place)),
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

  #drawEnd() {
    const name = this.views.name(this.list.view);
    const empty = this.list.entries.length === 0;
    byId('proposal').replaceChildren(el('p', { class: 'question' }, el('strong', {}, empty ? `${name}: nothing here` : `${name}: done`)),
      el('p', {}, empty ? 'Choose another view above.' : 'That was the last one. Look at Disagreement and Unsure, or see whether you have done enough.'),
      el('div', { class: 'row' },
        empty ? null : el('button', { type: 'button', on: { click: () => this.back() } }, 'Back ', keycap('K')),
        el('button', { type: 'button', class: 'main', on: { click: () => this.showProgress() } }, 'Have I done enough? ', keycap('M'))));
    this.buttons.mark(null, null);
    say(byId('proposal').textContent);
  }

  changed(pieces) {
    this.timebar.put(pieces);
    if (this.grid.open) this.grid.refresh();
  }

  // What a person does

  pressed(name) {
    if (this.heldByPointer) return;
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

  async back() {
    const { list } = this;
    if (list.index === 0) await list.loadPrevious().catch((error) => toast(error.message));
    if (list.index > 0) list.index -= 1;
    this.draw();
  }

  cut() {
    const { piece, player } = this;
    if (!piece || piece.blind || this.grid.open) return;
    player.stop();
    if (player.at === 0) toast('The cut comes before the picture that is shown: go to a later one with →.');
    else if (this.actions.cut(piece, player.frame)) this.draw();
  }

  clear() {
    const pieces = this.grid.open ? this.grid.selection : [this.piece];
    if (pieces[0]?.label && this.actions.clear(pieces)) this.draw();
  }

  undo() {
    const pieces = this.actions.undo();
    if (pieces === null) {
      toast('There is nothing to undo in this tab.');
      return;
    }
    if (!this.grid.open && pieces.length > 0) {
      this.list.show(pieces[0]);
      this.draw();
    }
    toast('Undone.', 'good');
  }

  hold(name) {
    if (!this.player.playing || this.grid.open || !this.piece || this.piece.blind) return false;
    this.held = { name, piece: this.piece, from: this.player.at };
    this.player.hold(name, this.player.at);
    return true;
  }

  release(tap) {
    const { held, player } = this;
    this.held = null;
    player.hold(null);
    if (held === null || held.piece !== this.piece) return;
    if (tap) {
      this.pressed(held.name);
      return;
    }
    player.stop();
    const { frames } = held.piece;
    const after = frames[player.at + 1];
    const from = held.from === 0 ? held.piece.start_ns : frames[held.from].stamp_ns;
    const to = after ? after.stamp_ns : held.piece.end_ns;
    if (held.from === 0 && !after) {
      this.pressed(held.name);
      return;
    }
    const parts = this.actions.span(held.piece, from, to, held.name);
    if (!parts) return;
    // On to what is left of it, if anything is.
    const left = parts.find((part) => part.from >= BigInt(to)) ?? parts.find((part) => part.to <= BigInt(from));
    if (left) this.list.show(left);
    this.draw();
  }

  releasedByPointer() {
    if (this.held === null) return;
    this.heldByPointer = true;
    setTimeout(() => {
      this.heldByPointer = false;
    }, 50);
    this.release(false);
  }

  async newClass() {
    const problem = (name) => (name === '' ? 'Give it a name.' : this.labels.has(name) ? 'There is one of that name.' : null);
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
    else if (this.piece && !this.piece.blind) this.grid.show(this.piece);
  }

  async visit(id) {
    try {
      this.list.show(this.list.entries.find((entry) => !entry.blind && entry.id === id) ?? await fetchPiece(id));
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
    await this.progress.refresh();
    await progressDialogue(this.progress.content());
  }

  // What the server and other tabs say

  async answered(event, answer) {
    const before = this.piece;
    this.actions.answered(event, answer);
    if (event.kind === 'class' && answer.status === 'refused') await this.askClasses();
    this.progress.later();
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

  conflict(event, answer) {
    this.conflicts = this.conflicts.then(() => this.#resolve(event, answer));
  }

  async #resolve(event, answer) {
    const ids = itemsOf(event);
    const changed = (answer.items ?? []).filter((one) => ids.includes(one.id)).map(piece);
    const [first] = changed;
    const labels = event.kind === 'label' || event.kind === 'clear';
    const chosen = await conflictDialogue({
      picture: first?.frames[0]?.picture, count: changed.length, mine: labels && first ? event.label ?? '' : null,
      theirs: first?.label?.name, who: first?.label?.who, reason: answer.reason, labels: this.labels,
    });
    // Of many pieces, those that nobody else has touched are labelled in any case.
    const known = new Map([...this.list.entries, ...(this.grid.list?.entries ?? []), ...changed].map((one) => [one.id, one]));
    const again = ids.filter((id) => chosen === 'mine' || !changed.some((one) => one.id === id)).map((id) => known.get(id)).filter(Boolean);
    if (labels && again.length > 0 && (chosen === 'mine' || ids.length > 1)) {
      if (event.kind === 'label') this.actions.label(again, event.label, answer.now);
      else this.actions.clear(again, answer.now);
    }
    this.draw();
  }

  // Keys and buttons

  commands() {
    const commands = {
      Enter: () => this.accept(), ' ': () => this.player.toggle(), j: () => this.forward(), k: () => this.back(), b: () => this.cut(),
      u: () => this.undo(), g: () => this.openGrid(), n: () => this.newClass(), '/': () => this.find(), ';': () => this.turn(),
      m: () => this.showProgress(), '?': () => helpDialogue(HELP), Delete: () => this.clear(), Backspace: () => this.clear(),
      ArrowLeft: () => this.player.step(-1), ArrowRight: () => this.player.step(1), '[': () => this.besideInTime(-1),
      ']': () => this.besideInTime(1), Escape: () => this.grid.close(),
    };
    listen({
      commands,
      name: (key) => SPECIAL.find((one) => one.key === key)?.name ?? (/^[1-9]$/.test(key) ? this.labels.atDigit(Number(key)) ?? null : null),
      press: (name) => this.pressed(name), hold: (name) => this.hold(name), release: (tap) => this.release(tap),
    });
    const button = (words, key, command, shown = key) => el('button', {
      type: 'button', class: 'quiet', 'aria-keyshortcuts': key, on: { click: () => commands[command]() },
    }, words, ' ', keycap(shown));
    byId('actions').append(button('Back', 'k', 'k', 'K'), button('Next', 'j', 'j', 'J'), button('Play', 'Space', ' ', 'Space'),
      button('Cut', 'b', 'b', 'B'), button('Undo', 'u', 'u', 'U'), button('Alike', 'g', 'g', 'G'));
    byId('help').addEventListener('click', commands['?']);
    byId('meter').addEventListener('click', commands.m);
    // After a click the keys are for the page again, not for the button that was clicked.
    document.addEventListener('click', (event) => {
      if (event.detail > 0 && !document.querySelector('dialog[open]') && !this.grid.open) byId('stage').focus({ preventScroll: true });
    });
    addEventListener('beforeunload', (event) => this.outbox.pending > 0 && event.preventDefault());
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
      if (error.status) byId('proposal').replaceChildren(el('p', { class: 'question' }, el('strong', {}, error.message)));
      if (error.status && !error.ended) return;
      if (!(error instanceof Error) || error.name !== 'Error') console.error(error);
      await new Promise((resolve) => { setTimeout(resolve, wait); });
    }
  }
}

begin();
