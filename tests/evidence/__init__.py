"""Runs that take longer than a test and print figures; each is a command of its own."""
