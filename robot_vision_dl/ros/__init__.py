"""Thin rclpy nodes; nothing is computed here."""
