/** A label that is held while the film plays: it goes to what was shown meanwhile. */

const AFTER_CLICK_MS = 50;

/** What is held on a page. */
export class Hold {
  constructor(page) {
    this.page = page;
    this.held = null;
    /** For a moment after a button was let go: its click is not a label as well. */
    this.byPointer = false;
  }

  /** Begin with the picture that is shown, if the film plays; gives whether it does. */
  begin(name) {
    const { player, piece, grid } = this.page;
    if (!player.playing || grid.open || !piece || piece.blind) return false;
    this.held = { name, piece, from: player.at };
    player.hold(name, player.at);
    return true;
  }

  /** Let go; a `tap` was too short to mean a stretch, and labels the whole piece. */
  end(tap) {
    const { held } = this;
    const { page } = this;
    this.held = null;
    page.player.hold(null);
    if (held === null || held.piece !== page.piece) return;
    const { frames } = held.piece;
    const after = frames[page.player.at + 1];
    if (tap || (held.from === 0 && !after)) {
      page.pressed(held.name);
      return;
    }
    page.player.stop();
    const from = held.from === 0 ? held.piece.start_ns : frames[held.from].stamp_ns;
    const to = after ? after.stamp_ns : held.piece.end_ns;
    const parts = page.actions.span(held.piece, from, to, held.name);
    if (!parts) return;
    // On to what is left of it, if anything is.
    const left = parts.find((part) => part.from >= BigInt(to)) ?? parts.find((part) => part.to <= BigInt(from));
    if (left) page.list.show(left);
    page.draw();
  }

  /** Let go of a button on the page. */
  endByPointer() {
    if (this.held === null) return;
    this.end(false);
    this.byPointer = true;
    setTimeout(() => {
      this.byPointer = false;
    }, AFTER_CLICK_MS);
  }
}
