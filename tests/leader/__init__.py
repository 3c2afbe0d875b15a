"""Tests: leader."""
