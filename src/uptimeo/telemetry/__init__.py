"""What may the outside see of a running agent? Its log: every event is a method of `Log`."""

from uptimeo.telemetry.log import HeartbeatLog, Log, json_log, silence_libraries

__all__ = ["HeartbeatLog", "Log", "json_log", "silence_libraries"]
