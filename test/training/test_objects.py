"""From labelled boxes to a tested bundle: a venue is held out, and the bundle remembers the margin."""
import json
from pathlib import Path

import pytest
from box_samples import venues

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.regions.crop import CROP_MARGIN
from robot_vision_dl.data.labels.objects.yolo import write_yolo

pytest.importorskip('lightning', reason='training is an extra: pip install .[train]')


@pytest.fixture(scope='module')
def objects(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('labelled')
    write_yolo(venues(root / 'source', ['north', 'south', 'west'], 14), root / 'source')
    assert main(['crop', str(root / 'source'), str(root / 'objects'), '--background', '1', '--input', '32',
                 '--margin', '0.15']) == 0
    return root / 'objects'


def test_a_venue_that_is_held_out_is_tested_on(objects, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = ['network.architecture=lenet5', "network.pretrained=''", 'input.resize=32', 'input.crop=32', 'run.epochs=4',
             f'data.cache.folder={tmp_path}/cache', 'run.sanity_check=false', 'run.average_decay=0.9',
             'optimizer.learning_rate=5e-3', 'output.ood=energy']
    assert main(['train', '--bags', str(objects), '--name', 'objects', '--set', 'data.test=["*/west"]', *quick]) == 0
    said = capsys.readouterr().out
    assert 'test as named' in said and 'unknown' in said
    bundle = load_bundle(str(tmp_path / 'models' / 'objects'))
    assert bundle.class_names == ('ball', 'goal post', 'robot') and bundle.provenance[CROP_MARGIN] == '0.15'
    split = json.loads((tmp_path / 'models' / 'objects' / 'card' / 'split.json').read_text())
    assert split['recordings']['test'] == ['source/west']
    assert set(split['recordings']['train']) == {'source/north', 'source/south'}
    assert main(['evaluate', str(objects), '--model', str(tmp_path / 'models' / 'objects'), '--out',
                 str(tmp_path / 'report')]) == 0
