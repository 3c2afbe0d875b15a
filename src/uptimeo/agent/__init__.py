"""The agent as a whole: joined in `build`, greeted in `start`, run and stopped in `run`."""

from uptimeo.agent.run import run_agent

__all__ = ["run_agent"]
