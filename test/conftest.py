"""What all tests share."""
import contextlib
import os
import sys
import time
from pathlib import Path

import pytest

if 'PYTEST_XDIST_WORKER' in os.environ:  # before torch is imported: each of them has a core
    os.environ.setdefault('OMP_NUM_THREADS', '1')
REPOSITORY = Path(__file__).resolve().parents[1]
# For what several tests share, e.g. bag_samples.py; pytest 6 (ROS 2 Humble) does not know `pythonpath`.
sys.path.append(str(Path(__file__).resolve().parent))

import agreement  # noqa: E402
from agreement import agrees  # noqa: E402,F401
from dds_domain import locked_domain  # noqa: E402


@pytest.fixture(scope='session', autouse=True)
def user_cache(tmp_path_factory):
    """A cache of the session's own for networks in ONNX and measured backends, also for what it starts.

    One for all processes that run tests side by side: to bring a network into ONNX takes ten seconds.
    """
    before = os.environ.get('XDG_CACHE_HOME')
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base) / 'user_cache'
    folder.mkdir(exist_ok=True)
    os.environ['XDG_CACHE_HOME'] = str(folder)
    yield
    if before is None:
        del os.environ['XDG_CACHE_HOME']
    else:
        os.environ['XDG_CACHE_HOME'] = before


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real data, which is not part of the repository; tests that need it skip without it."""
    folder = Path(os.environ.get('RVD_DATA', REPOSITORY.parent / 'shared' / 'data'))
    if not folder.is_dir():
        pytest.skip(f'real data is not here: set RVD_DATA to its folder (looked in {folder})')
    return folder


@pytest.fixture(scope='session')
def ros_domain() -> int:
    """A DDS domain of this test process, in the environment of it and of its children; 1 to 100 are free everywhere.

    Locked, so that test runs side by side on a machine do not hear each other.
    """
    with locked_domain() as domain:
        before = os.environ.get('ROS_DOMAIN_ID')
        os.environ['ROS_DOMAIN_ID'] = str(domain)
        yield domain
    if before is None:
        del os.environ['ROS_DOMAIN_ID']
    else:
        os.environ['ROS_DOMAIN_ID'] = before


@pytest.fixture
def peer(ros_domain):
    """A node of the test itself, under the DDS profile for large images, as a camera driver should be."""
    from node_harness import Peer, environment
    # Fast DDS reads it once in a process, so it stays for all tests.
    os.environ.update({key: value for key, value in environment(ros_domain).items() if 'PROFILES_FILE' in key})
    peer = Peer(ros_domain)
    yield peer
    peer.close()


@pytest.fixture(scope='session', autouse=True)
def shared_memory_of_killed_nodes():
    """Give back what Fast DDS could not: each node that a test kills leaves 70 MB of memory taken."""
    began = time.time()
    yield
    from robot_vision_dl.doctor.shared_memory import leftovers
    for segment in leftovers():
        with contextlib.suppress(OSError):  # another worker was quicker
            if began <= segment.path.stat().st_ctime < time.time() - 2:  # a newer one may be of a node that starts
                segment.path.unlink()
                segment.path.with_name(segment.path.name + '_el').unlink()


def pytest_collection_modifyitems(items):
    """Mark what needs ROS 2: all in test/ros, the launch files, and what has a DDS domain."""
    for item in items:
        path = Path(item.location[0])  # pytest 6 has no item.path
        if 'ros' in path.parent.parts or path.name == 'test_launch.py' or 'ros_domain' in item.fixturenames:
            item.add_marker(pytest.mark.ros)


def pytest_terminal_summary(terminalreporter):
    """The table of :mod:`agreement`."""
    agreement.summary(terminalreporter)
