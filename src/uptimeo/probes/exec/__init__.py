"""What does a command of the agent's host say? Type `exec`."""
