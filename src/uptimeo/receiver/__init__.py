"""Takes the signals of jobs: HTTP in, rows out. It checks nothing."""

from uptimeo.receiver.run import open_inbox, receive, run_receiver

__all__ = ["open_inbox", "receive", "run_receiver"]
