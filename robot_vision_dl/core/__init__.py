"""What a frame becomes. No ROS, no bags, no training."""
