"""What a trajectory tells: states at any moment, the actions that fit, how two runs differ, and forks."""
