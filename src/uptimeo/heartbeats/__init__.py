"""Heartbeats reach PostgreSQL, by way of the disk, whatever happens in between."""
