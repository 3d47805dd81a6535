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


@pytest.mark.parametrize('given, added', [
    ({}, {NEW: 'shipped', OLD: 'shipped'}),  # nobody says which version of Fast DDS is here
    ({'ROS_DISTRO': 'jazzy'}, {NEW: 'shipped', OLD: 'shipped'}),
    ({NEW: '/mine.xml'}, {OLD: '/mine.xml'}),
    ({OLD: '/mine.xml', NEW: ''}, {NEW: '/mine.xml'}),
    ({NEW: '/mine.xml', OLD: '/old.xml'}, {}),
    ({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, {}),
])
def test_each_version_of_fast_dds_gets_the_profile_under_its_name(given, added):
    shipped = str(dds.shipped_profile())
    assert dds.profile_variables('auto', given) == {name: value.replace('shipped', shipped)
                                                    for name, value in added.items()}
    assert dds.profile_variables('none', given) == {}


def test_the_command_for_the_shell_sets_both(tmp_path):
    profile = tmp_path / 'profile.xml'
    command = f'{dds.export_command(profile)}; echo "${NEW} ${OLD}"'
    said = subprocess.run(['bash', '-c', command], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(profile)] * 2
