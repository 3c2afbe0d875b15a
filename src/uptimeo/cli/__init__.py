"""The command `uptimeo`: one file a command."""

from uptimeo.cli.commands import main

__all__ = ["main"]
