"""The reference pages have everything that there is: they are made from the code, and nothing is lost on the way."""
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from robot_vision_dl.cli.bench import MEASUREMENTS
from robot_vision_dl.cli.main import COMMANDS
from robot_vision_dl.core.config import BagConfig, ClassifierConfig, flat_options
from robot_vision_dl.core.config_yaml import scalar
from robot_vision_dl.core.decision.action_gate import ActionGateConfig
from robot_vision_dl.core.regions.detector import DetectorConfig
from robot_vision_dl.evaluation.summary import SCHEMA
from robot_vision_dl.training.config import TrainConfig
from robot_vision_dl.training.node_config import TrainerConfig

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / 'docs' / '_ext'))

from reference_pages import PARTS, commands, diagnostic_values, report, topics  # noqa: E402


def plain(markdown):
    """Without escapes."""
    return re.sub(r'\\([\\*_<>\[\]#|~$])', r'\1', markdown)


@pytest.fixture(scope='module')
def parts():
    return {name: part() for name, part in PARTS.items()}


def test_each_part_is_asked_for_by_one_page():
    pages = [path.read_text(encoding='utf-8') for path in (REPOSITORY / 'docs').rglob('*.md')]
    asked = [name for page in pages for name in re.findall(r'^<!-- generated: (.+) -->$', page, re.M)]
    assert sorted(asked) == sorted(PARTS)


def test_every_command_and_option_is_there(parts):
    text = parts['commands']
    for name in COMMANDS:
        assert f'\n## robot-vision {name}\n' in f'\n{text}', name
    for name in MEASUREMENTS:
        assert f'\n### robot-vision bench {name}\n' in text, name
    for parser, _, _ in commands.parsers():
        section = re.search(rf'^##+ {re.escape(parser.prog)}\n(.*?)(?=^##|\Z)', text, re.M | re.S).group(1)
        for action in commands.arguments(parser):
            assert f'\n`{commands.invocation(action)}`\n: ' in section, f'{parser.prog} {action.dest}'


def test_options_of_measurements_are_those_that_the_command_takes():
    sections = {parser.prog: parser for parser, _, _ in commands.parsers()}
    assert '--vs' in sections['robot-vision bench live']._option_string_actions
    assert all('--json' in sections[f'robot-vision bench {name}']._option_string_actions for name in MEASUREMENTS)


@pytest.mark.parametrize('part, config', [
    ('parameters classifier', ClassifierConfig), ('parameters action_gate', ActionGateConfig),
    ('parameters detector', DetectorConfig), ('parameters trainer', TrainerConfig), ('training file', TrainConfig)])
def test_every_setting_is_there_with_default_and_range(parts, part, config):
    text = parts[part]
    for flat in flat_options(config):
        entry = re.search(rf'^`{re.escape(flat.name)}`\n: (.*?)\n\n(.*?)$', text, re.M | re.S)
        assert entry, flat.name
        facts, told = entry.groups()
        assert f'default `{scalar(flat.default)}`' in facts, flat.name
        assert flat.option.description.split('`')[0].strip() in plain(told), flat.name
        for limit in (flat.option.minimum, flat.option.maximum):
            assert limit is None or f'{limit:.10g}' in facts, flat.name
        assert all(f'`{choice}`' in facts for choice in flat.option.choices), flat.name


def test_environment_variables_of_bags_are_those_that_are_read(parts):
    from robot_vision_dl.data.bags import limits
    read = {value for name, value in vars(limits).items() if name.endswith('_VARIABLE')}
    assert set(re.findall(r'^`(\w+)`$', parts['bag limits'], re.M)) == read
    assert len(read) == len(list(flat_options(BagConfig)))


def test_no_word_of_the_schema_of_metrics_is_lost(parts):
    def words(text):
        return re.findall(r'\w+', plain(text))
    left = words(parts['metrics.json'])
    for word in words(SCHEMA.partition('\n')[2]):
        assert word in left, word
        left.remove(word)
    assert [name for depth, name, _ in report.entries() if depth == 0][-2:] == ['gates', 'live']


@pytest.mark.parametrize('name', ['squeezenet1_1_imagenet', 'waste_sorter'])
def test_every_key_of_a_bundle_that_ships_is_explained(parts, name):
    values = json.loads((REPOSITORY / 'models' / name / 'bundle.json').read_text(encoding='utf-8'))
    explained = set(re.findall(r'`(\w+)`', parts['bundle.json']))
    keys = set(values) | set(values['architecture']) | set(values['preprocessing']) | set(values['calibration'] or {})
    for section in ('conformal', 'laplace', 'fusion'):
        keys |= set((values['calibration'] or {}).get(section) or {})
    assert keys <= explained, keys - explained


def test_every_file_that_makes_topics_is_a_node_or_a_tool_of_ours():
    """A new file with a publisher is either on the page, or is named here as no interface of the package."""
    tools = {'bench', 'demo', 'doctor', 'ros/live_replay.py', 'ros/model_change.py'}
    package = Path(topics.ROS).parent
    known = {f'ros/{file}' for _, files in topics.NODES.values() for file in files}
    for path in package.rglob('*.py'):
        name = path.relative_to(package).as_posix()
        if re.search(r'\.create_(publisher|subscription|service|client)\(', path.read_text(encoding='utf-8')):
            assert name in known or name in tools or name.split('/')[0] in tools, name


def test_every_reason_is_explained(parts):
    from robot_vision_dl.core.errors import IMAGE_REASONS
    from robot_vision_dl.core.regions.crop import BOX_REASONS
    from robot_vision_dl.core.regions.results import OBJECT_REASONS
    from robot_vision_dl.core.regions.stamp_pairing import ARRAY_REASONS
    from robot_vision_dl.core.regions.stamp_pairing import IMAGE_REASONS as PAIRING_REASONS
    from robot_vision_dl.core.runtime import engine_thread, frame_counters
    counted = {value for module in (engine_thread, frame_counters) for name, value in vars(module).items()
               if name.isupper() and isinstance(value, str)} - {engine_thread.TAKE_FAILED}  # there is no frame yet
    counted |= {*PAIRING_REASONS, *ARRAY_REASONS}
    assert all(f'`{reason}`' in parts['reasons of objects'] for reason in (*BOX_REASONS, *OBJECT_REASONS))
    assert {reason for reason, _ in diagnostic_values.reasons()} == counted | set(IMAGE_REASONS)
    assert all(f'`{reason}`' in parts['reasons'] for reason in counted)


def test_arguments_of_launch_files_are_all_there(parts):
    declared = 0
    for path in (REPOSITORY / 'launch').glob('*.launch.py'):
        assert f'## {path.name}\n' in parts['launch files']
        text = path.read_text(encoding='utf-8')
        names = {*re.findall(r"^    \('(\w+)', ", text, re.M), *re.findall(r"DeclareLaunchArgument\('(\w+)'", text)}
        assert names, path.name
        declared += len(names)
        for name in names:
            assert f'\n`{name}:=`\n' in parts['launch files'], f'{path.name} {name}'
    assert len(re.findall(r'^`\w+:=`$', parts['launch files'], re.M)) == declared


@pytest.mark.slow
def test_pages_are_the_same_where_torch_and_ros_are_not_installed(parts):
    """As on docs.ros.org, where what is missing is mocked."""
    pytest.importorskip('sphinx', reason='sphinx is not installed; `make docs` installs it')
    code = ('import json; from absent import HEAVY, MESSAGES; from sphinx.ext.autodoc.mock import mock\n'
            'with mock([*HEAVY, *MESSAGES]):\n'
            '    from reference_pages import PARTS\n'
            '    made = {name: part() for name, part in PARTS.items()}\n'
            'print(json.dumps(made))')
    done = subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY / 'docs' / '_ext', capture_output=True,
                          text=True, check=True)
    made = json.loads(done.stdout.splitlines()[-1])
    assert made == parts
