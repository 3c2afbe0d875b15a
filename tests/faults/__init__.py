"""Tests: what breaks, on purpose, and the figures it must show."""
