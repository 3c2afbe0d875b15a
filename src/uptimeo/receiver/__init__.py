"""Takes the signals of jobs: HTTP in, rows out. A process of its own; it checks nothing."""

from uptimeo.receiver.run import run_receiver

__all__ = ["run_receiver"]
