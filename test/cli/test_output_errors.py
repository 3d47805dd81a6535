"""What users see when an output cannot be written: one line, exit code 1, nothing half-written, nothing lost."""
import os
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from evaluation_samples import labelled_bag, small_model
from labelled_samples import write_folders

from robot_vision_dl.cli import main as cli
from robot_vision_dl.cli.calibrate import own_card_files
from robot_vision_dl.core.bundles.bundle import load_bundle
from robot_vision_dl.core.bundles.bundle_writer import save_bundle
from robot_vision_dl.core.errors import BagError, BundleError
from robot_vision_dl.core.files.unfinished import write_mark
from robot_vision_dl.core.files.whole_files import is_part
from robot_vision_dl.data.bags.reader import BagReader
from robot_vision_dl.data.bags.writer import ImageBagWriter

main = cli.main


@contextmanager
def files_no_larger_than(size: int):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(scope='module')
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('made')
    write_folders(root / 'pictures', {'cup': 12, 'mug': 12})
    labelled_bag(root / 'bag', 24)
    small_model(root / 'model')
    return root


def commands(made: Path, out: Path):
    return {
        'synth': ['bag', 'synth', f'{made}/pictures', '--out', f'{out}/bags', '--recordings', '2', '--size', '64x48'],
        'from-images': ['bag', 'from-images', f'{made}/pictures', '--out', f'{out}/bag'],
        'extract': ['bag', 'extract', f'{made}/bag', '--out', f'{out}/pictures', '--format', 'png'],
        'evaluate': ['evaluate', f'{made}/bag', '--model', f'{made}/model', '--out', f'{out}/report', '--write-bag',
                     f'{out}/decisions.mcap'],
        'export': ['export', f'{made}/model', '--format', 'torch', '--out', f'{out}/m.pt2'],
    }


@pytest.mark.parametrize('name', ['synth', 'from-images', 'extract', 'evaluate', 'export'])
def test_full_disk_is_one_line_and_the_same_command_then_finishes(made, tmp_path, name, capsys):
    argv = commands(made, tmp_path)[name]
    with files_no_larger_than(2000):
        assert main(argv) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith('robot-vision ')
    assert 'cannot be written (File too large); make room, or choose another' in line
    assert os.listdir(tmp_path) == []
    assert main(argv) == 0 and not [name for name in os.listdir(tmp_path) if is_part(name)]


def test_any_other_error_of_the_machine_is_one_line_too(monkeypatch, capsys):
    def fail(args):
        raise OSError(122, 'Disk quota exceeded', '/data/x')
    import robot_vision_dl.cli.bag as bag
    monkeypatch.setattr(bag, 'run', fail)
    assert main(['bag', 'info', 'x']) == 1
    assert capsys.readouterr().err.startswith('robot-vision bag: Disk quota exceeded: /data/x; this is about the')


def test_tilde_is_the_home_folder_wherever_a_path_is_given(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ('pictures', 'bag', 'model'):
        (tmp_path / name).symlink_to(made / name)
    for argv in (['bag', 'from-images', '~/pictures', '--out', '~/b'], ['bag', 'info', '~/b'],
                 ['bag', 'synth', '~/pictures', '--out', '~/s', '--recordings', '1', '--size', '32x24'],
                 ['bag', 'extract', '~/b', '--out', '~/p'],
                 ['export', '~/model', '--format', 'torch', '--out', '~/m.pt2'],
                 ['evaluate', '~/bag', '--model', '~/model', '--out', '~/r', '--write-bag', '~/d.mcap'],
                 ['compare', '~/r', '~/r', '--markdown', '~/c.md'], ['models', 'verify', '~/model'],
                 ['calibrate', '~/model', '~/pictures', '--into', '~/n']):
        assert main(argv) == 0, capsys.readouterr().err
    assert {'b', 's', 'p', 'm.pt2', 'r', 'd.mcap', 'c.md', 'n'} <= set(os.listdir(tmp_path))
    assert '~' not in os.listdir(tmp_path)
    assert main(['bag', 'info', '~nosuchuser_/b']) == 2
    assert 'there is no such user' in capsys.readouterr().err


def test_bag_that_is_replaced_is_there_until_the_new_one_is_whole(made, tmp_path):
    with ImageBagWriter(tmp_path / 'bag') as writer:
        writer.write_cdr('/a', 'std_msgs/msg/String', 1, b'\0\1\0\0\1\0\0\0\0')
    with pytest.raises(ZeroDivisionError), ImageBagWriter(tmp_path / 'bag', overwrite=True) as writer:
        raise ZeroDivisionError
    with pytest.raises(BagError, match='exists already and is not overwritten'):
        ImageBagWriter(tmp_path / 'bag')
    with BagReader(tmp_path / 'bag') as reader:
        assert list(reader.topics) == ['/a']
    with ImageBagWriter(tmp_path / 'bag', overwrite=True) as writer:
        writer.write_cdr('/b', 'std_msgs/msg/String', 1, b'\0\1\0\0\1\0\0\0\0')
    with BagReader(tmp_path / 'bag') as reader:
        assert list(reader.topics) == ['/b']
    (tmp_path / 'bag' / 'thesis.tex').write_text('years')
    with pytest.raises(BagError, match='not the folder of a bag'):
        ImageBagWriter(tmp_path / 'bag', overwrite=True)
    assert os.listdir(tmp_path) == ['bag']


def test_half_written_folders_are_hidden_from_readers(made, tmp_path, capsys):
    with ImageBagWriter(tmp_path / 'bag') as writer:
        writer.write_cdr('/a', 'std_msgs/msg/String', 1, b'\0\1\0\0\1\0\0\0\0')
        assert writer.folder.is_dir() and main(['bag', 'info', str(tmp_path)]) == 2
        assert 'no bag in this folder' in capsys.readouterr().err
    write_mark(tmp_path / 'draft', tmp_path, [tmp_path / 'bag'])
    assert main(['bag', 'info', str(tmp_path)]) == 1
    assert 'is not whole: what wrote it was killed, or is at it' in capsys.readouterr().err
    assert main(['bag', 'extract', f'{made}/bag', '--out', str(tmp_path)]) == 0  # what a killed writer left is removed
    assert sorted(os.listdir(tmp_path)) == ['cup', 'index.csv', 'mug']


def test_bundle_heeds_the_umask(made, tmp_path):
    before = os.umask(0o027)
    try:
        folder = small_model(tmp_path / 'm')
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {'0o640'}
    assert folder.stat().st_mode & 0o777 == 0o750


def test_calibrate_takes_only_the_cards_own_files_and_no_links(made, tmp_path, capsys):
    bundle = load_bundle(made / 'model')
    save_bundle(tmp_path / 'm', bundle.load_network(), bundle.class_names, bundle.preprocessing,
                card_files={'a.json': b'own', 'b.json': b'own'})
    (tmp_path / 'm' / 'card' / 'stray.json').write_text('dropped here')
    assert own_card_files(tmp_path / 'm') == {'a.json': b'own', 'b.json': b'own'}
    secret = tmp_path / 'secret'
    secret.write_text('own')  # even with the right content
    (tmp_path / 'm' / 'card' / 'a.json').unlink()
    (tmp_path / 'm' / 'card' / 'a.json').symlink_to(secret)
    with pytest.raises(BundleError, match=r'card/a.json: is a link, or no regular file'):
        own_card_files(tmp_path / 'm')
    assert main(['calibrate', str(tmp_path / 'm'), f'{made}/pictures', '--into', str(tmp_path / 'n')]) == 2
    assert 'link' in capsys.readouterr().err and not (tmp_path / 'n').exists()


def test_killed_after_the_bag_of_decisions_the_report_is_there_too(made, tmp_path, monkeypatch):
    """It is not replaced when the command is given again, so it must come last."""
    import robot_vision_dl.core.files.whole_files as whole
    order = []
    for step in ('_rename', '_replace'):
        run = getattr(whole, step)
        monkeypatch.setattr(whole, step, lambda work, path, *rest, run=run: (
            order.append(path.name), run(work, path, *rest))[1])
    assert main(commands(made, tmp_path)['evaluate']) == 0
    assert order[-2:] == ['report', 'decisions.mcap'] and sys.exc_info() == (None, None, None)


def test_a_mark_from_elsewhere_removes_nothing(made, tmp_path, capsys):
    """Of whatever form; what it names may be anyone's."""
    forged = [b'thesis.txt', b'thesis.txt\n.robot-vision-unfinished', b'{', b'[' * 100000, b'\xff',
              b'{"mark": "", "names": {"thesis.txt": [""]}}', b'{"mark": null, "names": null}', b'[]']
    made_elsewhere = tmp_path / 'elsewhere'
    made_elsewhere.mkdir()
    (made_elsewhere / 'thesis.txt').write_text('years')
    write_mark(tmp_path / 'draft', made_elsewhere, [made_elsewhere / 'thesis.txt'])
    forged.append((made_elsewhere / '.robot-vision-unfinished').read_bytes())
    for number, mark in enumerate(forged):
        folder = tmp_path / f'm{number}'
        folder.mkdir()
        (folder / 'thesis.txt').write_text('years')
        (folder / '.robot-vision-unfinished').write_bytes(mark)
        for words in (['from-images', f'{made}/pictures'], ['from-images', f'{made}/pictures', '--overwrite'],
                      ['extract', f'{made}/bag']):
            assert main(['bag', *words, '--out', str(folder)]) == 2
            assert 'choose another' in capsys.readouterr().err
        assert main(['bag', 'synth', f'{made}/pictures', '--out', str(folder), '--recordings', '1', '--size', '64x48',
                     '--seconds-per-track', '0.2']) == 0  # beside what is there
        assert (folder / 'thesis.txt').read_text() == 'years'


def test_a_mark_that_is_a_link_is_not_followed(made, tmp_path):
    (tmp_path / 'm').mkdir()
    (tmp_path / 'thesis.txt').write_text('years')
    (tmp_path / 'm' / '.robot-vision-unfinished').symlink_to(tmp_path / 'thesis.txt')
    assert main(['bag', 'from-images', f'{made}/pictures', '--out', str(tmp_path / 'm')]) == 2
    assert main(['bag', 'synth', f'{made}/pictures', '--out', str(tmp_path / 'm'), '--recordings', '1',
                 '--size', '64x48', '--seconds-per-track', '0.2']) == 0
    assert (tmp_path / 'thesis.txt').read_text() == 'years'
