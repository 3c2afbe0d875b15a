"""Monitors become due checks, on a grid that all agents of a datacenter compute alike."""
