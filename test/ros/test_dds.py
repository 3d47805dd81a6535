"""What is said where Fast DDS has no shared memory."""
import subprocess

import pytest

from robot_vision_dl.ros import dds


def test_missing_shared_memory_is_told_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.delenv('RMW_IMPLEMENTATION', raising=False)
    said = dds.shared_memory_problem(None, tmp_path / 'none')
    assert 'cannot be used (No such file or directory)' in said and '--shm-size=1g or --ipc=host' in said
    assert dds.shared_memory_problem(None, tmp_path) is None


def test_too_little_is_told_by_what_the_profile_takes(tmp_path, monkeypatch):
    monkeypatch.delenv('RMW_IMPLEMENTATION', raising=False)
    monkeypatch.setattr(dds.shutil, 'disk_usage', lambda folder: type('Usage', (), {'free': 64 * 2 ** 20}))
    profile = str(dds.shipped_profile())
    assert 'has 64 MiB free, and each process takes 65' in dds.shared_memory_problem(profile, tmp_path)
    assert dds.shared_memory_problem('/own/profile.xml', tmp_path) is None


@pytest.mark.parametrize('rmw, told', [('rmw_cyclonedds_cpp', False), ('rmw_fastrtps_cpp', True)])
def test_another_dds_needs_none(tmp_path, monkeypatch, rmw, told):
    monkeypatch.setenv('RMW_IMPLEMENTATION', rmw)
    assert bool(dds.shared_memory_problem(None, tmp_path / 'none')) == told


def test_it_is_said_when_a_profile_is_applied(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(dds, 'shared_memory_problem', lambda profile: f'of {profile}')
    for name in (dds.PROFILE_VARIABLE, dds.OLD_PROFILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    profile = dds.apply_profile()
    assert capsys.readouterr().err == f'robot-vision: of {profile}\n'


NEW, OLD = dds.PROFILE_VARIABLE, dds.OLD_PROFILE_VARIABLE


@pytest.mark.parametrize('file, names', [('libfastdds.so.3.2', (NEW,)), ('libfastrtps.so.2.14', (OLD,)),
                                         ('libother.so', (NEW, OLD))])
def test_the_name_that_the_installed_fast_dds_reads(tmp_path, file, names):
    (tmp_path / 'lib').mkdir()
    (tmp_path / 'lib' / file).touch()
    assert dds.variables_read([tmp_path / 'none', tmp_path / 'lib']) == names


def test_it_is_found_where_ros_is_sourced(tmp_path, monkeypatch):
    for name, file in (('jazzy', 'libfastrtps.so'), ('kilted', 'libfastdds.so')):
        (tmp_path / name / 'lib').mkdir(parents=True)
        (tmp_path / name / 'lib' / file).touch()
    monkeypatch.setattr(dds.sys, 'prefix', str(tmp_path / 'venv'))
    monkeypatch.setenv('LD_LIBRARY_PATH', '')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path / "workspace"}:{tmp_path / "jazzy"}')
    assert dds.variables_read() == (OLD,)
    monkeypatch.setenv('LD_LIBRARY_PATH', str(tmp_path / 'kilted' / 'lib'))
    assert dds.variables_read() == (NEW,)


def test_the_fast_dds_of_this_environment_is_found():
    ros = pytest.importorskip('robot_vision_dl.doctor.ros').probe()
    if ros.facts is None or not ros.facts['fast_dds']:
        pytest.skip('no Fast DDS here')
    assert dds.variables_read() == (ros.profile_variable,)


@pytest.mark.parametrize('read, given, added', [
    ((NEW,), {}, {NEW: 'shipped'}),
    ((OLD,), {}, {OLD: 'shipped'}),
    ((NEW, OLD), {'ROS_DISTRO': 'jazzy'}, {NEW: 'shipped', OLD: 'shipped'}),
    ((OLD,), {NEW: '/mine.xml'}, {OLD: '/mine.xml'}),
    ((NEW,), {NEW: '/mine.xml'}, {}),
    ((NEW,), {OLD: '/mine.xml', NEW: ''}, {NEW: '/mine.xml'}),
    ((NEW, OLD), {NEW: '/mine.xml', OLD: '/old.xml'}, {}),
    ((NEW,), {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, {}),
])
def test_each_version_of_fast_dds_gets_the_profile_under_its_name(read, given, added, monkeypatch):
    monkeypatch.setattr(dds, 'variables_read', lambda: read)
    shipped = str(dds.shipped_profile())
    assert dds.profile_variables('auto', given) == {name: value.replace('shipped', shipped)
                                                    for name, value in added.items()}
    assert dds.profile_variables('none', given) == {}


@pytest.mark.parametrize('read', [(NEW,), (OLD,), (NEW, OLD)])
def test_the_command_for_the_shell(tmp_path, monkeypatch, read):
    monkeypatch.setattr(dds, 'variables_read', lambda: read)
    profile = tmp_path / 'profile.xml'
    command = f'unset {NEW} {OLD}; {dds.export_command(profile)}; echo "${NEW}|${OLD}"'
    said = subprocess.run(['bash', '-c', command], capture_output=True, text=True, check=True).stdout
    assert said.strip() == '|'.join(str(profile) if name in read else '' for name in (NEW, OLD))
