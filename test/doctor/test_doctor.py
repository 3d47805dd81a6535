"""The doctor on the machine as it is, and on machines that are described to it."""
import fcntl
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import robot_vision_dl
from robot_vision_dl.doctor import gpu, python
from robot_vision_dl.doctor import ros as doctor_ros
from robot_vision_dl.doctor.check import Level, last_line, print_check, warn, worst
from robot_vision_dl.doctor.gpu import MachineGpu, gpu_check
from robot_vision_dl.doctor.round_trip import RoundTrip
from robot_vision_dl.ros.dds import OLD_PROFILE_VARIABLE, PROFILE_VARIABLE, shipped_profile

TORCH = {'torch': {'version': '2.15.0'}, 'torchvision': {'version': '0.29.2'}}
CUDA = {'gpu_build': {'cuda': '13.2', 'hip': None, 'mps': False}}
CPU = {'gpu_build': {'cuda': None, 'hip': None, 'mps': False}}


def test_worst_level():
    assert worst([]) is Level.OK
    assert worst([warn('a', 'b', 'c'), python.python_check()]) is Level.WARN


def test_long_findings_are_wrapped_under_their_text(capsys):
    print_check(warn('name', 'word ' * 60, 'do this'))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('WARN  name ') and max(map(len, lines)) <= 118
    column = lines[0].index('word')
    assert [line.index('word') for line in lines[:-1]] == [column] * (len(lines) - 1)
    assert lines[-1].strip() == '-> do this'


def test_last_line_of_nothing():
    assert last_line('\n \n') == 'it said nothing'
    assert last_line('Traceback\nOSError: no\n\n') == 'OSError: no'


# Packages

@pytest.mark.slow
def test_packages_of_this_environment_are_found():
    found = python.probe()
    checks = list(python.package_checks(found))
    assert worst(checks) is Level.OK, checks
    import torch
    assert f'torch {torch.__version__}' in checks[0].text and 'error' not in found['nms']


def test_a_package_that_kills_python_is_named(tmp_path, monkeypatch):
    (tmp_path / 'cv2.py').write_text('import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=os.pathsep)
    found = python.probe()
    assert 'version' in found['numpy'] and found['cv2'] == {'error': 'ends Python with SIGSEGV'}
    checks = {check.name: check for check in python.package_checks(found)}
    assert checks['cv2'].level is Level.FAIL and 'opencv-python' in checks['cv2'].remedy
    assert 'was not reached' in checks['torch'].text


@pytest.mark.parametrize('name, error, remedy', [
    ('torchvision', 'RuntimeError: operator torchvision::nms does not exist', 'torch and torchvision fit together'),
    ('cv2', 'ImportError: libGL.so.1: cannot open shared object file', 'apt install libgl1'),
    ('cv2', 'ImportError: numpy.core.multiarray failed to import', 'built for another NumPy'),
    ('rosbags', "ModuleNotFoundError: No module named 'rosbags'", "python3 -m pip install 'rosbags>="),
])
def test_remedy_for_a_package(name, error, remedy):
    found = {package: {'version': '1'} for package in python.DISTRIBUTIONS}
    found[name] = {'error': error}
    [check] = [check for check in python.package_checks(found) if check.level is Level.FAIL]
    assert check.name == name and error in check.text and remedy in check.remedy


def test_torchvision_that_imports_but_does_not_fit():
    found = {package: {'version': '1'} for package in python.DISTRIBUTIONS}
    found['nms'] = {'error': 'RuntimeError: operator torchvision::nms does not exist'}
    [check] = [check for check in python.package_checks(found) if check.level is Level.FAIL]
    assert 'does not fit torch 1' in check.text and 'in one go' in check.remedy


def test_ros1_port_of_cv_bridge_is_recognised(tmp_path, monkeypatch):
    (tmp_path / 'cv_bridge').mkdir()
    (tmp_path / 'cv_bridge' / '__init__.py').touch()
    info = tmp_path / 'cv_bridge-1.13.0.post0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: cv-bridge\nVersion: 1.13.0.post0\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    check = python.cv_bridge_check()
    assert check.level is Level.WARN and '1.13.0.post0' in check.text and 'pip uninstall cv-bridge' in check.remedy


@pytest.mark.parametrize('text, cores', [('max 100000\n', None), ('150000 100000\n', 1.5), ('', None)])
def test_cpu_quota(tmp_path, text, cores):
    file = tmp_path / 'cpu.max'
    file.write_text(text)
    assert python.cpu_quota(file) == cores
    assert python.cpu_quota(tmp_path / 'none') is None


def test_models_are_verified():
    checks = list(python.model_checks())
    assert worst(checks) is Level.OK
    assert all(name in checks[0].text for name in ('squeezenet1_1_imagenet', 'waste_sorter'))
    assert 'verified' in checks[0].text


# GPU

def test_gpu_in_use():
    found = {**TORCH, **CUDA, 'gpu': {'devices': [['NVIDIA T4', 14 * 2 ** 30, 16 * 2 ** 30]]}}
    check = gpu_check(MachineGpu(driver='580.1', names=('NVIDIA T4',)), found)
    assert check.level is Level.OK
    assert check.text == 'cuda:0 NVIDIA T4 (14.0 of 16.0 GiB free), driver 580.1, CUDA 13.2'


def test_a_gpu_is_told_with_all_that_decides_about_it(monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '1')
    facts = {'devices': [['NVIDIA A100', 2 ** 30, 2 ** 31]], 'architectures': ['8.0'], 'unusable': ['']}
    check = gpu_check(MachineGpu(names=('NVIDIA A100',), mig=('1g.10gb',), mig_is_on=True, power_mode='MAXN'),
                      {**TORCH, **CUDA, 'gpu': facts})
    assert check.level is Level.OK
    assert check.text == ("cuda:0 NVIDIA A100, architecture 8.0 (1.0 of 2.0 GiB free), CUDA 13.2; MIG is on (1g.10gb); "
                          "CUDA_VISIBLE_DEVICES='1'; power mode MAXN (`sudo nvpmodel -p --verbose` lists the others)")


@pytest.mark.parametrize('names, said', [
    (['CUDAExecutionProvider', 'CPUExecutionProvider'], 'ONNX Runtime has CUDAExecutionProvider'),
    (['CPUExecutionProvider'], 'ONNX Runtime has no provider for it, which onnxruntime-gpu has')])
def test_what_onnx_runtime_has_for_a_gpu_is_told(names, said):
    found = {**TORCH, **CUDA, 'gpu': {'devices': [['NVIDIA T4', 2 ** 30, 2 ** 31]]}, 'onnx_providers': {'names': names}}
    assert gpu_check(MachineGpu(), found).text.endswith(said)


def test_a_gpu_that_fails_its_trial_is_a_warning(monkeypatch):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    facts = {'devices': [['Tesla K80', 2 ** 30, 2 ** 31]], 'architectures': ['3.7'],
             'unusable': ['Tesla K80 is of the architecture 3.7, and this torch (2.9) is built for sm_75']}
    check = gpu_check(MachineGpu(names=('Tesla K80',)), {**TORCH, **CUDA, 'gpu': facts})
    assert check.level is Level.WARN and 'is built for sm_75' in check.text and 'the CPU is used' in check.remedy


def test_mig_without_an_instance_says_how_to_make_one(monkeypatch):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    check = gpu_check(MachineGpu(names=('NVIDIA A100',), mig_is_on=True), {**TORCH, **CUDA, 'gpu': {'devices': []}})
    assert check.level is Level.WARN and 'MIG is on and has no instance' in check.text and '-cgi' in check.remedy


def tool(folder, name, script):
    path = folder / name
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)


def test_nvidia_smi_and_nvpmodel_are_read(tmp_path, monkeypatch):
    """As their manuals show what they print."""
    monkeypatch.setenv('PATH', str(tmp_path))
    tool(tmp_path, 'nvidia-smi', """case "$*" in
*mig.mode*) echo Enabled; echo '[N/A]';;
-L) echo 'GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-1)'; echo '  MIG 1g.5gb      Device  0: (UUID: MIG-2)'
    echo '  MIG 3g.20gb     Device  1: (UUID: MIG-3)';;
*) echo 'NVIDIA A100-SXM4-40GB, 535.104.05';;
esac""")
    tool(tmp_path, 'nvpmodel', "echo 'NV Power Mode: 15W'; echo 2")
    found = gpu.look_at_machine(tmp_path)
    assert (found.names, found.driver) == (('NVIDIA A100-SXM4-40GB',), '535.104.05')
    assert found.mig_is_on and found.mig == ('1g.5gb', '3g.20gb')
    assert not found.power_mode  # no Jetson
    (tmp_path / 'etc').mkdir()
    (tmp_path / 'etc/nv_tegra_release').touch()
    assert gpu.look_at_machine(tmp_path).power_mode == '15W'
    tool(tmp_path, 'nvidia-smi', 'echo broken; exit 9')
    assert gpu.look_at_machine(tmp_path).names == ()


def test_no_gpu_and_a_cuda_build():
    check = gpu_check(MachineGpu(), {**TORCH, **CUDA, 'gpu': {'error': 'RuntimeError: Found no NVIDIA driver'}})
    assert check.level is Level.OK and 'the CPU is used' in check.text


@pytest.mark.parametrize('machine, facts, text, remedy', [
    (MachineGpu(names=('NVIDIA T4',), driver='580.1'), CPU, 'built without CUDA', 'the CUDA build of torch'),
    (MachineGpu(has_device_files=True, is_jetson=True), CPU, 'built without CUDA', 'for your JetPack'),
    (MachineGpu(names=('NVIDIA K80',), driver='470.1'), {**CUDA, 'gpu': {'error': 'RuntimeError: driver is too old'}},
     'driver is too old', 'update it'),
    (MachineGpu(on_bus=True), CUDA, 'its driver is not to be seen', '--gpus all'),
])
def test_gpu_that_torch_does_not_use(machine, facts, text, remedy, monkeypatch):
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    check = gpu_check(machine, {**TORCH, **facts})
    assert check.level is Level.WARN and text in check.text and remedy in check.remedy
    assert 'the CPU is used' in check.text


def test_gpu_that_is_hidden(monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    check = gpu_check(MachineGpu(names=('NVIDIA T4',)), {**TORCH, **CUDA, 'gpu': {'devices': []}})
    assert check.remedy == '`unset CUDA_VISIBLE_DEVICES`'


def test_a_gpu_on_the_bus_is_seen_without_its_driver(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    device = tmp_path / 'sys/bus/pci/devices/0000:01:00.0'
    device.mkdir(parents=True)
    (device / 'vendor').write_text('0x10de\n')
    (device / 'class').write_text('0x030000\n')
    assert gpu.look_at_machine(tmp_path) == MachineGpu(on_bus=True)
    (device / 'class').write_text('0x040300\n')  # its sound chip alone is no GPU
    assert not gpu.look_at_machine(tmp_path).on_bus
    version = tmp_path / 'proc/driver/nvidia/version'
    version.parent.mkdir(parents=True)
    version.write_text('NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n')
    (tmp_path / 'dev').mkdir()
    (tmp_path / 'dev/nvidia0').touch()
    found = gpu.look_at_machine(tmp_path)
    assert found.seen and found.driver == '535.104.05'


# ROS and DDS

@pytest.fixture
def clean_environment(monkeypatch):
    for name in (PROFILE_VARIABLE, OLD_PROFILE_VARIABLE, 'RMW_IMPLEMENTATION', 'ROS_DISTRO'):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


FAST = doctor_ros.Ros({'file': '/x/rclpy/__init__.py', 'version': '9', 'rmw': 'rmw_fastrtps_cpp', 'faults': {},
                       'fast_dds': '3.2.3'})
OLD = doctor_ros.Ros({**FAST.facts, 'fast_dds': '2.14.5'})


def profile_check(before=None, ros=FAST):
    return list(doctor_ros.profile_checks(ros, before or {}, 'auto'))[-1]


@pytest.mark.slow
def test_ros_of_this_environment_works():
    ros = doctor_ros.probe()
    assert ros.facts is not None, ros.error
    checks = [doctor_ros.ros_check(ros), *doctor_ros.message_checks(ros)]
    assert worst(checks) is Level.OK, checks


def test_middleware_that_is_not_installed(clean_environment):
    clean_environment.setenv('RMW_IMPLEMENTATION', 'rmw_of_nobody_cpp')
    ros = doctor_ros.probe()
    assert ros.facts is None
    check = doctor_ros.ros_check(ros)
    assert check.level is Level.FAIL and 'unset RMW_IMPLEMENTATION' in check.remedy


def test_shipped_profile_is_in_force(clean_environment):
    clean_environment.setenv(PROFILE_VARIABLE, str(shipped_profile()))
    check = profile_check()
    assert check.level is Level.OK and 'shipped with the package, 64 MiB' in check.text


def test_no_profile(clean_environment):
    check = profile_check()
    assert check.level is Level.WARN and str(shipped_profile()) in check.remedy


@pytest.mark.parametrize('content, problem', [
    ('<dds><profiles>', 'is not XML'), ('<html/>', 'its root is <html>'), (None, 'cannot be read (No such file')])
def test_profile_of_the_user_that_cannot_be_used(clean_environment, tmp_path, content, problem):
    file = tmp_path / 'mine.xml'
    if content is not None:
        file.write_text(content)
    clean_environment.setenv(PROFILE_VARIABLE, str(file))
    check = profile_check({PROFILE_VARIABLE: str(file)})
    assert check.level is Level.FAIL and problem in check.text and '(of the environment)' in check.text


def test_profile_under_a_name_that_this_fast_dds_does_not_read(clean_environment):
    clean_environment.setenv(PROFILE_VARIABLE, str(shipped_profile()))
    check = profile_check({PROFILE_VARIABLE: str(shipped_profile())}, OLD)
    assert check.level is Level.WARN and f'export {OLD_PROFILE_VARIABLE}=' in check.remedy
    assert check.text.startswith(f'{PROFILE_VARIABLE} is set, but this Fast DDS reads {OLD_PROFILE_VARIABLE}')
    for ros in (OLD, FAST):  # by the old name rmw_fastrtps of Kilted still gives it to Fast DDS 3
        clean_environment.delenv(PROFILE_VARIABLE, raising=False)
        clean_environment.setenv(OLD_PROFILE_VARIABLE, str(shipped_profile()))
        assert profile_check({OLD_PROFILE_VARIABLE: str(shipped_profile())}, ros).level is Level.OK


def test_of_two_profiles_the_one_that_is_read_is_judged(clean_environment, tmp_path):
    broken = tmp_path / 'mine.xml'
    broken.write_text('<html/>')
    for name, file in ((PROFILE_VARIABLE, broken), (OLD_PROFILE_VARIABLE, shipped_profile())):
        clean_environment.setenv(name, str(file))
    assert profile_check(dict(os.environ), OLD).level is Level.OK
    assert profile_check(dict(os.environ), FAST).level is Level.FAIL


def test_the_fast_dds_that_is_loaded_is_named():
    ros = doctor_ros.probe()
    assert ros.facts is not None, ros.error
    version = {7: '2.', 9: '3.'}.get(int(ros.facts['version'].split('.')[0]))
    if version is None or 'fastrtps' not in ros.facts['rmw']:
        pytest.skip(f'rclpy {ros.facts["version"]} with {ros.facts["rmw"]}: not known which Fast DDS comes with it')
    assert ros.facts['fast_dds'].startswith(version)


def test_shared_memory_without_room(tmp_path):
    [check] = doctor_ros.shared_memory_checks(10 ** 16, tmp_path)
    assert check.level is Level.FAIL and '--shm-size' in check.remedy
    [check] = doctor_ros.shared_memory_checks(None, tmp_path)
    assert check.level is Level.OK
    [check] = doctor_ros.shared_memory_checks(None, tmp_path / 'none')
    assert check.level is Level.FAIL


def test_the_command_that_removes_what_dead_processes_left_removes_all_of_it(tmp_path, capsys):
    names = [f'fastdds_{number:016x}' for number in range(15)]
    for name in names:
        for suffix in ('', '_el'):
            (tmp_path / (name + suffix)).write_bytes(b'x')
    alive = tmp_path / 'fastdds_ffffffffffffffff'
    alive.write_bytes(b'x')
    lock = alive.with_name(alive.name + '_el')
    lock.write_bytes(b'')
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        check = doctor_ros.shared_memory_checks(None, tmp_path)
        check, = [one for one in check if one.level is Level.WARN]
    print_check(check)
    line, = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith('rm ')]
    subprocess.run(['sh', '-c', line], check=True)
    assert sorted(tmp_path.iterdir()) == sorted([alive, lock])


@pytest.mark.parametrize('value, level', [('212992\n', Level.WARN), ('33554432\n', Level.OK)])
def test_udp_buffer(tmp_path, value, level):
    file = tmp_path / 'rmem_max'
    file.write_text(value)
    assert doctor_ros.udp_check(file).level is level


@pytest.mark.parametrize('environment, level', [
    ({}, Level.OK), ({'ROS_DOMAIN_ID': '7'}, Level.OK), ({'ROS_DOMAIN_ID': '233'}, Level.FAIL),
    ({'ROS_DOMAIN_ID': 'lab'}, Level.FAIL), ({'ROS_AUTOMATIC_DISCOVERY_RANGE': 'off'}, Level.WARN),
    ({'ROS_LOCALHOST_ONLY': '1'}, Level.OK)])
def test_discovery(environment, level):
    check = doctor_ros.discovery_check(environment)
    assert check.level is level
    assert all(f'{name}={value}' in check.text for name, value in environment.items())


@pytest.mark.parametrize('arrived, level', [(10, Level.OK), (8, Level.WARN), (7, Level.FAIL), (0, Level.FAIL)])
def test_round_trip_is_judged(arrived, level):
    check = doctor_ros.round_trip_check(RoundTrip(10, (2.0,) * arrived, True))
    assert check.level is level and f'{arrived} of 10' in check.text


# The command

def doctor(*arguments, **environment):
    return subprocess.run([sys.executable, '-m', 'robot_vision_dl.cli.main', 'doctor', *arguments], capture_output=True,
                          text=True, timeout=120, env={
                              **os.environ, 'PYTHONPATH': str(Path(robot_vision_dl.__file__).parents[1]), **environment,
                              'OMP_NUM_THREADS': '1'})


@pytest.mark.slow
def test_doctor_says_that_this_installation_works(ros_domain, clean_environment):
    done = doctor('--json')
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report['ok'], textwrap.indent(done.stdout, '  ')
    names = [check['name'] for check in report['checks']]
    assert names[0] == 'Python' and names[-1] == 'round trip'
    assert {'packages', 'GPU', 'models', 'messages', 'DDS profile', 'shared memory'} <= set(names)
    assert 'arrived' in report['checks'][-1]['text']


@pytest.mark.slow
def test_doctor_without_a_profile(ros_domain, clean_environment):
    done = doctor('--dds-profile', 'none')
    assert 'WARN  DDS profile      none (--dds-profile none)' in done.stdout
    # How many images arrive is chance then, mostly none, so only the exit code must agree.
    assert done.returncode == ('FAIL  ' in done.stdout), done.stdout
    assert 'of 10 images' in done.stdout


@pytest.mark.slow
def test_doctor_sees_that_processes_cannot_find_each_other(ros_domain, clean_environment):
    done = doctor('--json', ROS_AUTOMATIC_DISCOVERY_RANGE='OFF')
    assert done.returncode == 1
    assert 'do not find each other' in json.loads(done.stdout)['checks'][-1]['text']


def test_seconds_must_make_sense():
    done = doctor('/camera/image', '--seconds', '0')
    assert done.returncode == 2 and '--seconds: must be 0.2 to 3600, got 0' in done.stderr
