"""How quickly pieces can be labelled: the page must never be what one waits for. Nothing of time is asserted."""
import statistics

import pytest
from page_driver import browser, events_of, open_page, served
from queue_samples import make_queue

from robot_vision_dl.bench.page_driver import all_saved, shown

INTERVALS = 10_000
LABELS = 300

NEXT_IS_SHOWN = """async (before) => {
  const picture = document.querySelector('#stage img.large');
  while (picture.src.includes(`/pictures/${before}/`) || !picture.complete || picture.naturalWidth === 0) {
    await new Promise(requestAnimationFrame);
  }
  return performance.now();
}"""
PRESSED = """() => {
  window.pressed = [];
  addEventListener('keydown', () => window.pressed.push(performance.now()), true);
}"""


@pytest.mark.slow
def test_speed_by_keyboard_in_a_long_queue(tmp_path, capsys):
    """Prints labels a minute, and ms from a key to the next picture."""
    make_queue(tmp_path, intervals=INTERVALS, frames=6, recordings=[f'run {k}' for k in range(5)]).close()
    with browser() as chromium, served(tmp_path) as server:
        page = open_page(chromium.new_context(viewport={'width': 1280, 'height': 800}), server)
        page.evaluate(PRESSED)
        labelled, waits = set(), []
        begin = page.evaluate('performance.now()')
        for count in range(LABELS):
            interval = shown(page)
            page.keyboard.press('Enter' if count % 3 else str(1 + count % 9 // 3))
            now = page.evaluate(NEXT_IS_SHOWN, interval)
            waits.append(now - page.evaluate('window.pressed.at(-1)'))
            labelled.add(interval)
        minutes = (page.evaluate('performance.now()') - begin) / 60_000
        all_saved(page)
        saved_ms = page.evaluate('performance.now()') - now
    assert len(labelled) == LABELS == len(events_of(tmp_path))
    waits.sort()
    with capsys.disabled():
        print(f'\n{INTERVALS} intervals, {LABELS} labels by keyboard: {LABELS / minutes:.0f} a minute; '
              f'from the key to the next picture {statistics.median(waits):.0f} ms (median), '
              f'{waits[int(.99 * LABELS)]:.0f} ms (99 %), {waits[-1]:.0f} ms (longest); '
              f'all saved {saved_ms:.0f} ms after the last')
