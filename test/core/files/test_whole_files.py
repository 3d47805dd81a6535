"""Nothing half-written is ever in its place, whoever is killed, refused or quicker."""
import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from robot_vision_dl.core.errors import ConfigError, OutputError, is_about_machine
from robot_vision_dl.core.files import folder_swap, whole_files
from robot_vision_dl.core.files.user_path import user_path
from robot_vision_dl.core.files.whole_files import (
    is_free,
    is_unfinished,
    locked_folder,
    sweep,
    whole_file,
    whole_folder,
    write_whole,
)


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def names(folder: Path):
    return sorted(os.listdir(folder))


def killed(code: str, *arguments) -> None:
    """Run ``code`` in a process that ends by its own SIGKILL."""
    done = subprocess.run([sys.executable, '-c', 'import os, signal, sys\nfrom pathlib import Path\n'
                           'from robot_vision_dl.core.files.whole_files import *\n' + code, *map(str, arguments)],
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_file_appears_at_the_end_and_heeds_the_umask(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    with whole_file(path, 'w') as file:
        file.write('x')
        assert not path.exists()
    assert path.read_text() == 'x' and names(path.parent) == ['a.json']
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_file_stays_as_it_was_when_the_block_raises(tmp_path):
    write_whole(tmp_path / 'a', 'old')
    with pytest.raises(ValueError), whole_file(tmp_path / 'a') as file:
        file.write(b'half')
        raise ValueError
    assert (tmp_path / 'a').read_text() == 'old' and names(tmp_path) == ['a']


def test_link_is_followed_and_what_is_no_file_is_written_directly(tmp_path):
    (tmp_path / 'real').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'real' / 'a')
    write_whole(tmp_path / 'link', 'x')
    assert (tmp_path / 'link').is_symlink() and (tmp_path / 'real' / 'a').read_text() == 'x'
    code = 'from robot_vision_dl.core.files.whole_files import write_whole; write_whole("/dev/stdout", "figures")'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, check=True).stdout == b'figures'
    with pytest.raises(OutputError, match='is a folder, and a file is to be written'):
        write_whole(tmp_path / 'real', 'x')


def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_whole('~/a', 'x')
    with whole_folder('~/b') as folder:
        (folder / 'c').write_text('y')
    assert names(tmp_path) == ['a', 'b']
    for bad in ('~nosuchuser_/a', 'a\0b'):
        with pytest.raises(ConfigError, match='give'):
            user_path(bad)


def test_killed_writers_leave_the_old_one_and_what_the_next_one_removes(tmp_path):
    write_whole(tmp_path / 'a', 'old')
    killed('with whole_file(sys.argv[1]) as file: file.write(b"half"); file.flush(); os.kill(os.getpid(), 9)',
           tmp_path / 'a')
    killed('with whole_folder(sys.argv[1]) as work: (work / "x").write_text("y"); os.kill(os.getpid(), 9)',
           tmp_path / 'b')
    assert (tmp_path / 'a').read_text() == 'old' and not (tmp_path / 'b').exists() and len(names(tmp_path)) == 2
    with whole_folder(tmp_path / 'b') as work:
        (work / 'x').write_text('z')
    assert names(tmp_path) == ['a', 'b'] and (tmp_path / 'b' / 'x').read_text() == 'z'


def test_living_writers_keep_their_parts(tmp_path):
    with whole_file(tmp_path / 'a') as one, whole_folder(tmp_path / 'b') as other:
        sweep(tmp_path)
        write_whole(tmp_path / 'a', 'of another')
        one.write(b'last')
        (other / 'x').write_text('y')
    assert (tmp_path / 'a').read_text() == 'last' and (tmp_path / 'b' / 'x').read_text() == 'y'
    assert names(tmp_path) == ['a', 'b']


def test_second_writer_of_a_new_folder_is_refused_and_the_first_is_whole(tmp_path):
    for place in (tmp_path / 'new', tmp_path / 'empty'):
        if place.name == 'empty':
            place.mkdir()
        with pytest.raises(OutputError, match='another process has written it meanwhile'):
            with whole_folder(place) as late:
                (late / 'x').write_text('late')
                with whole_folder(place) as early:
                    (early / 'x').write_text('early')
        assert names(place) == ['x'] and (place / 'x').read_text() == 'early'


def test_writer_that_comes_first_is_replaced_where_that_is_allowed(tmp_path, monkeypatch):
    rename = os.rename

    def late(one, other):
        monkeypatch.setattr(os, 'rename', rename)
        (tmp_path / 'a').mkdir()
        (tmp_path / 'a' / 'of another').write_text('x')
        rename(one, other)  # fails: there is something now
    with whole_folder(tmp_path / 'a', overwrite=True) as work:
        (work / 'mine').write_text('y')
        monkeypatch.setattr(os, 'rename', late)
    assert names(tmp_path / 'a') == ['mine'] and names(tmp_path) == ['a']


@pytest.mark.parametrize('can_exchange', (True, False))
def test_folder_is_replaced_as_a_whole(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(folder_swap, 'exchange', lambda one, other: False)
    folder = tmp_path / 'a'
    folder.mkdir()
    folder.chmod(0o711)
    (folder / 'old').write_text('x')
    with pytest.raises(OutputError, match='is there already'), whole_folder(folder):
        pass
    with pytest.raises(ValueError), whole_folder(folder, overwrite=True) as work:
        raise ValueError
    assert names(folder) == ['old']
    with whole_folder(folder, overwrite=True) as work:
        (work / 'new').write_text('y')
    assert names(folder) == ['new'] and names(tmp_path) == ['a']
    assert stat.S_IMODE(folder.stat().st_mode) == 0o711


def test_killed_between_two_renames_the_old_folder_comes_back(tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'old').write_text('x')
    killed('from robot_vision_dl.core.files import folder_swap\n'
           'folder_swap.exchange = lambda one, other: False\n'
           'rename = os.rename\n'
           'os.rename = lambda a, b: (rename(a, b), os.kill(os.getpid(), 9))\n'
           'with whole_folder(sys.argv[1], overwrite=True) as work: (work / "new").write_text("y")', tmp_path / 'a')
    assert not (tmp_path / 'a').exists()
    sweep(tmp_path)
    assert names(tmp_path) == ['a'] and names(tmp_path / 'a') == ['old']


def test_working_directory_is_filled_and_marked_until_it_is_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    killed('rename = os.rename\n'
           'os.rename = lambda a, b: (rename(a, b), os.kill(os.getpid(), 9))\n'
           'with whole_folder(".") as work:\n'
           '    (work / "a").write_text("x")\n'
           '    (work / "b").mkdir()')
    assert is_unfinished(tmp_path) and is_free(tmp_path)
    with whole_folder('.') as work:
        (work / 'c').write_text('z')
    assert names(tmp_path) == ['c'] and not is_unfinished(tmp_path)
    with whole_folder('.', overwrite=True) as work:
        (work / 'd').write_text('z')
    assert names(tmp_path) == ['d'] and os.path.samefile('.', tmp_path)


def test_block_may_make_the_folder_itself(tmp_path):
    with whole_folder(tmp_path / 'a', create=False) as work:
        assert work.name == 'a' and not work.exists()
        work.mkdir()
    assert names(tmp_path) == ['a']


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='needs /dev/full')
def test_full_disk_is_told_with_the_remedy(tmp_path):
    (tmp_path / 'a').symlink_to('/dev/full')
    with pytest.raises(OutputError, match=r'a: cannot be written \(No space left on device\); buy a disk$'):
        write_whole(tmp_path / 'a', 'x', remedy='buy a disk')


def test_file_size_limit_leaves_nothing(tmp_path):
    code = ('import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n'
            'resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n'
            'from robot_vision_dl.core.errors import OutputError\n'
            'from robot_vision_dl.core.files.whole_files import *\n'
            'for way in (lambda: write_whole(sys.argv[1] + "/a", b"x" * 5000), lambda: folder()):\n'
            '    try: way()\n'
            '    except OutputError as error: print(error)\n')
    code = code.replace('for way', 'def folder():\n'
                        '    with whole_folder(sys.argv[1] + "/b") as work: (work / "c").write_bytes(b"x" * 5000)\n'
                        'for way')
    done = subprocess.run([sys.executable, '-c', code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.count('cannot be written (File too large)') == 2 and not names(tmp_path)


def test_read_only_folder_is_told(tmp_path):
    tmp_path.chmod(0o555)
    for part in list(tmp_path.parents)[:2]:
        part.chmod(0o755)
    code = ('import os, sys\nfrom pathlib import Path\nfrom robot_vision_dl.core.errors import OutputError\n'
            'from robot_vision_dl.core.files.whole_files import *\n'
            'os.geteuid() or os.seteuid(65534)  # root may write everywhere\n'
            'for way in (whole_file, whole_folder, lambda path: locked_folder(path, "a run")):\n'
            '    try:\n'
            '        with way(Path(sys.argv[1]) / "a"): pass\n'
            '    except OutputError as error: print(error)\n')
    done = subprocess.run([sys.executable, '-c', code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.count('a: cannot be written (Permission denied)') == 3


def test_errors_of_what_is_read_in_the_block_keep_their_own_name(tmp_path):
    with pytest.raises(FileNotFoundError, match='missing'), whole_file(tmp_path / 'a'):
        open(tmp_path / 'missing')
    with pytest.raises(FileNotFoundError), whole_folder(tmp_path / 'a'):
        open(tmp_path / 'missing')
    assert not names(tmp_path)


def test_folder_is_locked_for_others_and_no_longer_than_its_owner_lives(tmp_path):
    with locked_folder(tmp_path, 'a run'):
        with pytest.raises(OutputError, match='another process is writing a run'), locked_folder(tmp_path, 'a run'):
            pass
    killed('lock = locked_folder(Path(sys.argv[1]), "a run"); lock.__enter__(); os.kill(os.getpid(), 9)', tmp_path)
    with locked_folder(tmp_path, 'a run'):
        pass


def test_without_locks_nothing_is_removed(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, 'No locks available')
    (tmp_path / '.robot-vision-0123456789abcdef.part').write_text('of somebody')
    monkeypatch.setattr(whole_files.fcntl, 'flock', refuse)
    write_whole(tmp_path / 'a', 'x')
    assert len(names(tmp_path)) == 2 and fcntl.flock is refuse


def test_only_errors_of_the_machine_are_about_it():
    for name in ('ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EMFILE', 'ENFILE', 'EIO', 'ENOMEM', 'EFBIG'):
        assert is_about_machine(OSError(getattr(errno, name), name)), name
    for name in ('ENOENT', 'EISDIR', 'ENOTDIR', 'EINVAL', 'ENAMETOOLONG', 'EPIPE'):
        assert not is_about_machine(OSError(getattr(errno, name), name)), name
    assert not is_about_machine(OSError('no number'))


KILLED_AT_A_RENAME = ('count = [0]\n'
                      'rename = os.rename\n'
                      'def killed(a, b):\n'
                      '    rename(a, b)\n'
                      '    count[0] += 1\n'
                      '    if count[0] == {}: os.kill(os.getpid(), 9)\n'
                      'os.rename = killed\n'
                      'with whole_folder(".", overwrite=True) as work:\n'
                      '    for name in ("a", "b", "c"): (work / name).mkdir(); (work / name / "x").write_text("y")')


@pytest.mark.parametrize('number', [1, 2, 3, 4, 5])
def test_what_a_killed_writer_left_is_known_whenever_it_was_killed(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('a', 'old'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'z').write_text('z')
    killed(KILLED_AT_A_RENAME.format(number))
    assert is_unfinished(tmp_path) and is_free(tmp_path)
    with whole_folder('.') as work:
        (work / 'new').write_text('n')
    assert names(tmp_path) == ['new']


@pytest.mark.parametrize('put', ['a/x', 'a/new', 'b', 'a/deep/new', 'other'])
def test_what_somebody_puts_into_the_rest_of_a_killed_writer_stays(put, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    killed(KILLED_AT_A_RENAME.format(1))
    place = next(iter({'a', 'b', 'c'} & set(names(tmp_path))))
    path = tmp_path / (put.replace('a/', f'{place}/') if '/' in put else 'bc'[place == 'b'] if put == 'b' else put)
    path.parent.mkdir(exist_ok=True)
    path.write_text('years')
    with pytest.raises(OutputError, match='is there already, and nothing in it is replaced'), whole_folder('.') as work:
        (work / 'new').write_text('n')
    assert path.read_text() == 'years' and is_unfinished(tmp_path)
