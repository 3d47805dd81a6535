"""What is wrong with this machine, this ROS 2, this topic."""
