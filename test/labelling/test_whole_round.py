"""The loop as a whole: mined by the command, labelled on the page by a real browser, trained again, installed."""
import sys
from pathlib import Path

import pytest
from page_driver import browser, labels_of, open_page, served

from robot_vision_dl.bench.page_driver import all_saved, shown, wait_for
from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.text.yaml_text import read_yaml
from robot_vision_dl.labelling.queue_file import QueueFile

sys.path.append(str(Path(__file__).parent))
from improve_samples import recordings, settings  # noqa: E402

pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')
pytestmark = pytest.mark.slow


class Truth:
    """What bags show, by the labels that were taken away from beside them."""

    def __init__(self, bags: Path) -> None:
        self._intervals = {}
        for path in bags.glob('*/labels.yaml'):
            self._intervals[path.parent.name] = read_yaml(path)['intervals']
            path.unlink()

    def at(self, recording: str, time_ns: float) -> str:
        return next(one['label'] for one in self._intervals[recording]
                    if one['start'] <= time_ns / 1e9 < one['end'])


def wait_for_another(page: object, interval: int, proposal: str) -> None:
    """Another interval, or the same again without the proposal: a piece that is to be labelled twice."""
    wait_for(lambda: int(shown(page)) != interval or page.inner_text('#proposal') != proposal, 10)


def test_a_round(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recordings(tmp_path / 'few', 4, each=8, seed=1)
    recordings(tmp_path / 'pool', 1, each=24, unknown=8, seed=2)
    recordings(tmp_path / 'frozen', 8, each=8, seed=3)
    (tmp_path / 'train.yaml').write_text(settings(tmp_path / 'few', tmp_path, 6))
    assert main(['train', 'train.yaml']) == 0
    before = load_bundle('models/shapes')
    assert main(['bag', 'synth', 'pool/pool_0', '--out', 'bags', '--recordings', '4', '--seconds-per-track', '1.5',
                 '--rate', '6', '--size', '64x64', '--motion', '0.2', '--quality', '0']) == 0
    truth = Truth(Path('bags'))
    bags = sorted(map(str, Path('bags').glob('*/')))
    mine = ['mine', *bags, '--model', 'models/shapes', '--out', 'queue', '--labels', 'none', '--every', '.2',
            '--count', '400']
    assert main(mine) == 0
    with QueueFile(Path('queue')) as queue:
        names = {one.id: one.name for one in queue.recordings}
        right = {one.id: truth.at(names[one.recording], (one.start_ns + one.end_ns) / 2)
                 for one in queue.intervals(features=False) if one.chosen}
        classes = queue.class_names
    assert len(right) > 40
    with browser() as chromium, served(tmp_path / 'queue') as server:
        page = open_page(chromium.new_context(), server)
        for _ in range(3 * len(right)):
            if not [one for one, label in labels_of(tmp_path / 'queue').items() if one in right and label == [None]]:
                break
            at = int(shown(page))
            label, before_item = right[at], page.inner_text('#proposal')
            page.keyboard.press('0' if label == 'unknown' else str(classes.index(label) + 1))
            wait_for_another(page, at, before_item)
            all_saved(page)
    assert {one: labels_of(tmp_path / 'queue')[one] for one in right} == {one: [label] for one, label in right.items()}
    assert main(['labels', 'write', 'queue']) == 0
    written = Truth(Path('bags'))
    with QueueFile(Path('queue')) as queue:
        for one in queue.intervals(features=False):
            if one.id in right:
                middle = (one.start_ns + one.end_ns) / 2
                assert written.at(names[one.recording], middle) == truth.at(names[one.recording], middle)
    assert main(['labels', 'write', 'queue']) == 0
    capsys.readouterr()
    assert main(['improve', 'queue', '--model', 'models/shapes', '--frozen', 'frozen/*', '--without',
                 'foreign_accepted', 'worst_recall', '--margin', 'accuracy=.05', 'decided_right=.05', 'acted_wrong=.1',
                 'false_unknown=.05', 'nll=.1']) == 0
    said = capsys.readouterr().out
    assert 'INSTALLED: shapes' in said and load_bundle('models/shapes').identity != before.identity
