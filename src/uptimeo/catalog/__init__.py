"""Config rows become monitors, and stay up to date while the agent runs."""
