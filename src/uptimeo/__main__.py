"""Lets `python -m uptimeo` do what the command `uptimeo` does."""

from uptimeo.cli import main

main()
