"""The formats that a page shows are those that are read."""
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from robot_vision_dl.cli.main import main
from robot_vision_dl.core.decision.action_gate import load_actions
from robot_vision_dl.core.decision.costs import read_costs
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.data.picture_index import INDEX_COLUMNS

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'reference' / 'formats.md').read_text(encoding='utf-8')


def block(title):
    return re.search(rf'^## {title}$.*?```yaml\n(.*?)```', PAGE, re.M | re.S)[1]


def test_costs_are_read_as_shown(tmp_path):
    path = tmp_path / 'costs.yaml'
    path.write_text(block('Costs'))
    costs = read_costs(path, ['go', 'stop_sign', 'yield'])
    assert costs.abstain == 0.3 and costs.thresholds[1] == 0.5 and np.isnan(costs.thresholds[0])
    assert costs.matrix.tolist() == [[0, 20, 5], [1, 0, 1], [1, 1, 0]]


def test_actions_are_read_as_shown(tmp_path):
    path = tmp_path / 'actions.yaml'
    path.write_text(block('Action table'))
    table = load_actions(path)
    assert table.safe.name == 'stop' and table.by_label['cup'].name == 'pick'
    assert table.by_label['door'].trigger == '/door/knock'


def test_all_columns_of_index_csv_are_named():
    rows = PAGE.split('## index.csv')[1].split('## ')[0]
    first = ' '.join(line.split('|')[1] for line in rows.splitlines() if '|' in line)
    assert set(re.findall(r'`(\w+)`', first)) == {*INDEX_COLUMNS, 'picture'}  # which only crops have


@pytest.mark.parametrize('command', [['run'], ['evaluate'], ['predict']])
def test_costs_are_explained_where_they_are_used(command, capsys):
    with pytest.raises(SystemExit):
        main([*command, '--help'])
    assert 'costs.yaml' in capsys.readouterr().out


def test_a_wrong_file_names_the_way_to_its_format(tmp_path):
    path = tmp_path / 'costs.yaml'
    path.write_text('cost: 1\n')
    with pytest.raises(ConfigError, match='robot-vision run --help shows one'):
        read_costs(path, ['a', 'b'])


@pytest.mark.parametrize('name, text', [('labels.yaml', 'start: 1\n'), ('labels.csv', 'time,name\na,b\n'),
                                        ('labels.csv', 'time,label\n1,b\n')])
def test_wrong_labels_name_the_way_to_their_format(tmp_path, name, text):
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from labelled_samples import write_bag

    from robot_vision_dl.data.frame_sources import open_sources
    from robot_vision_dl.data.labels.labels import LabelConfig
    bag = write_bag(tmp_path / 'bag', 3)
    (bag / name).write_text(text)
    with pytest.raises(ConfigError, match='`robot-vision bag extract --help` shows the formats'):
        open_sources([bag], LabelConfig())
