"""Takes the signals of jobs: HTTP in, rows out. It checks nothing."""

from uptimeo.receiver.run import address_of, listen, receive, run_receiver

__all__ = ["address_of", "listen", "receive", "run_receiver"]
