"""The tests of UptimeO."""
