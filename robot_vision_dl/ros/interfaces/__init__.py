"""``vision_msgs`` for Python environments that have ROS 2 from the package registry, where it is not to be had."""
