"""What may the outside see of a running agent? Every event name, and the form of a log line.

A line is one JSON object. Fixed keys: `ts` (UTC), `level`, `event` (a constant of this file),
`message` (for people; the messages that existing installations rely on are word for word),
`datacenter`, `instance`, and what belongs to the event.
"""

import logging
from collections.abc import MutableMapping
from enum import Enum
from typing import Any, TextIO

import structlog

from uptimeo.domain.monitor import DatacenterId, Monitor


class HeartbeatLog(Enum):
    """Which heartbeats leave a line: every one, changes of state, or none."""

    ALL = "all"
    CHANGES = "changes"
    NONE = "none"


class Log:
    """The agent's events, one method each. Nothing else in UptimeO writes to a log."""

    def __init__(self, logger: Any, heartbeats: HeartbeatLog = HeartbeatLog.ALL) -> None:
        self._logger = logger
        self._heartbeats = heartbeats
        self._last_status: dict[int, str] = {}

    # The agent's life.

    def agent_started(self, version: str, server: str | None, offline: str) -> None:
        """The agent is configured and takes up its work."""
        self._logger.info(
            "agent_started",
            message="Agent started",
            version=version,
            server_version=server,
            offline=offline,
        )

    def agent_stopping(self, signal: str) -> None:
        """A signal asked the agent to end."""
        self._logger.info("agent_stopping", message="Agent stopping", signal=signal)

    def agent_stopped(self, unsent: int) -> None:
        """The last line of an orderly end; `unsent` heartbeats wait in the spool."""
        self._logger.info("agent_stopped", message="Agent stopped", unsent=unsent)

    def start_refused(self, reason: str) -> None:
        """A setting or the database is wrong in a way that waiting cannot mend."""
        self._logger.critical("start_refused", message=reason)

    def task_failed(self, task: str, error: BaseException) -> None:
        """A loop of the agent died of a bug; the agent ends rather than limp."""
        self._logger.critical(
            "task_failed", message=f"The loop {task} failed", task=task, **_error(error)
        )

    def database_waited_for(self, error: BaseException, retry_s: float) -> None:
        """The database did not answer at the start."""
        self._logger.warning(
            "database_unavailable",
            message="Waiting for the database",
            retry_s=round(retry_s, 2),
            **_error(error),
        )

    # The receiver of signals.

    def receiver_started(self, address: str) -> None:
        """It listens there."""
        self._logger.info(
            "receiver_started", message=f"Taking signals at {address}", address=address
        )

    def receiver_reaches_database(self, error: Exception | None) -> None:
        """Signals can be stored again, or no more: then callers hear 503."""
        if error is None:
            self._logger.info("receiver_ready", message="Signals can be stored again")
        else:
            self._logger.warning(
                "receiver_unready", message="Signals cannot be stored", **_error(error)
            )

    def receiver_stopped(self) -> None:
        """The last line of an orderly end."""
        self._logger.info("receiver_stopped", message="No more signals are taken")

    # Leadership.

    def lease_acquired(self, datacenter: DatacenterId, term: int) -> None:
        """This agent leads."""
        self._logger.info(
            "lease_acquired", message=f"Acquired lock for datacenter:{datacenter}", term=term
        )

    def lease_released(self, datacenter: DatacenterId, term: int) -> None:
        """This agent gave the leadership back."""
        self._logger.info(
            "lease_released", message=f"Released lock for datacenter:{datacenter}", term=term
        )

    def lease_not_released(self, datacenter: DatacenterId, term: int, error: Exception) -> None:
        """The database could not be told; the lease runs out by itself."""
        self._logger.warning(
            "lease_not_released",
            message=f"Could not release lock for datacenter:{datacenter}",
            term=term,
            **_error(error),
        )

    def lease_lost(self, datacenter: DatacenterId, term: int | None, holder: str | None) -> None:
        """Another agent leads now."""
        self._logger.warning(
            "lease_lost", message=f"Lost lock for datacenter:{datacenter}", term=term, leader=holder
        )

    def standing_by(self, datacenter: DatacenterId, term: int, holder: str | None) -> None:
        """Another agent leads; this one watches it."""
        self._logger.info(
            "standing_by",
            message=f"Standing by for datacenter:{datacenter}",
            term=term,
            leader=holder,
        )

    def lease_yielded(
        self, datacenter: DatacenterId, term: int | None, error: Exception | None
    ) -> None:
        """The database answers another agent and not this one, or another one leads by now."""
        self._logger.warning(
            "lease_yielded",
            message=f"Gave up lock for datacenter:{datacenter}: another agent reaches the database",
            term=term,
            **_error(error),
        )

    def lease_freed(self, datacenter: DatacenterId, term: int) -> None:
        """The lease of a leader that is cut off from the database was given back in its name."""
        self._logger.info(
            "lease_freed",
            message=f"Freed lock for datacenter:{datacenter}: its holder gave it up",
            term=term,
        )

    def peers_unavailable(self, address: str, error: Exception) -> None:
        """The other agents of the datacenter cannot ask this one; it is tried again."""
        self._logger.warning(
            "peers_unavailable",
            message=f"Cannot listen for other agents on {address}",
            **_error(error),
        )

    def offline_leader(
        self, datacenter: DatacenterId, term: int | None, error: Exception | None
    ) -> None:
        """The database is away; the last leader goes on and keeps heartbeats on disk."""
        self._logger.warning(
            "offline_leader",
            message=f"Database unreachable: checks for datacenter:{datacenter} go on",
            term=term,
            **_error(error),
        )

    def checks_suspended(
        self, datacenter: DatacenterId, term: int | None, error: Exception | None
    ) -> None:
        """The database is away, and the mode is strict or another agent may reach it."""
        self._logger.warning(
            "checks_suspended",
            message=f"Database unreachable: checks for datacenter:{datacenter} are suspended",
            term=term,
            **_error(error),
        )

    def online_again(self, datacenter: DatacenterId, term: int | None) -> None:
        """The database answers again, and the term is still ours."""
        self._logger.info(
            "online_again", message=f"Database reachable: datacenter:{datacenter}", term=term
        )

    # Configuration.

    def monitors_changed(self, *, total: int, added: int, changed: int, removed: int) -> None:
        """The set of monitors is another one from now on."""
        self._logger.info(
            "monitors_changed",
            message="Monitors changed",
            total=total,
            added=added,
            changed=changed,
            removed=removed,
        )

    def monitor_invalid(self, monitor_id: int, name: str, reason: str) -> None:
        """A config row cannot be used; said once for each new reason."""
        self._logger.error(
            "monitor_invalid",
            message=f"Monitor {monitor_id} ({name}) is disabled: {reason}",
            monitor_id=monitor_id,
            monitor=name,
            reason=reason,
        )

    def monitors_unread(self, error: Exception) -> None:
        """The configuration could not be read; the last one stays in force."""
        self._logger.warning(
            "monitors_unread", message="Configuration not read: the last one stays", **_error(error)
        )

    def notifications(self, *, work: bool, poll_s: float) -> None:
        """Whether notices of the database arrive; behind a transaction pooler they do not."""
        if work:
            self._logger.info("notifications_work", message="Configuration changes are notified")
        else:
            self._logger.warning(
                "notifications_unavailable",
                message="Notifications do not arrive: configuration changes are polled",
                poll_s=poll_s,
            )

    def resumed(self, datacenter: DatacenterId, term: int, monitors: int) -> None:
        """A restarted leader goes on without a database, from what it has on disk."""
        self._logger.warning(
            "leader_resumed",
            message=f"Database unreachable: leadership of datacenter:{datacenter} resumed",
            term=term,
            monitors=monitors,
        )

    # Checks.

    def slots_unrecorded(self, monitor: Monitor, count: int) -> None:
        """A long pause: its oldest slots have no heartbeat."""
        self._logger.warning(
            "slots_unrecorded",
            message=f"{count} slots of monitor {monitor.id} ({monitor.name}) passed in a pause",
            monitor_id=monitor.id,
            count=count,
        )

    def probe_failed(self, monitor: Monitor, error: Exception) -> None:
        """A probe raised: a bug in it, not a fault of the target."""
        self._logger.error(
            "probe_failed",
            message="Monitor execution failed",
            monitor_id=monitor.id,
            monitor=monitor.name,
            **_error(error),
        )

    # Heartbeats.

    def heartbeat_inserted(self, row: dict[str, Any]) -> None:
        """A heartbeat is committed in PostgreSQL; `row` is its wire form."""
        if not self._wanted(row):
            return
        fields = {key: row[key] for key in _HEARTBEAT_KEYS if key in row}
        monitor = f"{row['monitor_id']} ({row.get('monitor_name', '?')})"
        if row["status"] in ("down", "unknown"):
            self._logger.warning("check_failed", message="Monitor execution failed", **fields)
        self._logger.info(
            "heartbeat_inserted", message=f"Heartbeat inserted for monitor {monitor}", **fields
        )

    def heartbeats_unsent(self, count: int, error: Exception, retry_s: float) -> None:
        """A batch could not be stored; it stays in the spool."""
        self._logger.warning(
            "heartbeats_unsent",
            message="Failed to save heartbeat",
            count=count,
            retry_s=round(retry_s, 2),
            **_error(error),
        )

    def heartbeat_set_aside(self, reason: str) -> None:
        """A heartbeat is refused or was damaged on disk; it is kept apart with the reason."""
        self._logger.error("heartbeat_set_aside", message="Failed to save heartbeat", reason=reason)

    def heartbeats_dropped(self, count: int) -> None:
        """The disk does not take heartbeats and the memory for them is full."""
        self._logger.error("heartbeats_dropped", message="Failed to save heartbeat", count=count)

    def spool_failed(self, error: Exception) -> None:
        """The spool cannot be written; heartbeats wait in memory."""
        self._logger.error("spool_failed", message="Spool not writable", **_error(error))

    def spool_moved_aside(self, file: str) -> None:
        """The spool was damaged: it is kept under that name, and a new one is begun."""
        self._logger.error("spool_moved_aside", message="Damaged spool moved aside", file=file)

    def spool_salvaged(self, path: str, count: int) -> None:
        """What could be read of a damaged spool is in the new one; the damaged file stays."""
        self._logger.warning(
            "spool_salvaged", message="Spool salvaged", path=path, heartbeats=count
        )

    def spool_lost(self, *, rows: int, exact: bool) -> None:
        """Damage to the spool cost heartbeats; if not `exact`, its ledger is damaged or old."""
        self._logger.error(
            "spool_lost",
            message=f"Spool damaged: {rows} heartbeats lost"
            if exact
            else "Spool damaged: how many heartbeats are lost is not known exactly",
            rows=rows,
            exact=exact,
        )

    def heartbeats_thinned(self, count: int) -> None:
        """The spool is full: heartbeats that tell little, or the oldest, made room."""
        self._logger.error("heartbeats_thinned", message="Spool full", count=count)

    # Upkeep.

    def partitions_made(self, names: list[str]) -> None:
        """New days are ready for heartbeats."""
        self._logger.info("partitions_made", message="Partitions made", partitions=names)

    def partitions_failed(self, error: Exception) -> None:
        """The days ahead could not be prepared; tried again soon."""
        self._logger.error("partitions_failed", message="Partitions not made", **_error(error))

    def rolled_up(self, buckets: int) -> None:
        """Buckets were rolled up: routine."""
        self._logger.debug("rolled_up", message="Heartbeats rolled up", buckets=buckets)

    def rollups_behind(self, waiting: int) -> None:
        """More buckets wait than one run works off; none: it has caught up."""
        message = f"{waiting} buckets wait to be rolled up"
        if waiting:
            self._logger.warning("rollups_behind", message=message, waiting=waiting)
        else:
            self._logger.info("rollups_caught_up", message=message)

    def duty_reconciled(self, changes: int) -> None:
        """What monitors have to do had changed in a way that the triggers did not see."""
        self._logger.warning(
            "duty_reconciled", message=f"Duty of {changes} monitors noted late", changes=changes
        )

    def _wanted(self, row: dict[str, Any]) -> bool:
        if self._heartbeats is HeartbeatLog.NONE:
            return False
        before = self._last_status.get(row["monitor_id"])
        self._last_status[row["monitor_id"]] = row["status"]
        return self._heartbeats is HeartbeatLog.ALL or before != row["status"]


_FIRST_KEYS = ("ts", "level", "event", "message", "datacenter", "instance")
_HEARTBEAT_KEYS = (
    "monitor_id",
    "monitor_name",
    "term",
    "scheduled_at",
    "status",
    "response_time_ms",
    "response_status_code",
    "error_type",
    "error_message",
    "failed_phase",
)


def json_log(
    stream: TextIO, *, level: str, heartbeats: HeartbeatLog = HeartbeatLog.ALL, **fixed: Any
) -> Log:
    """A log of JSON lines on `stream`; `fixed` keys stand on every line."""
    logger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            _in_order,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level.lower()),
    )
    return Log(logger.bind(**fixed), heartbeats)


def _in_order(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    first = {key: event.pop(key) for key in _FIRST_KEYS if key in event}
    return {**first, **event}


def silence_libraries() -> None:
    """Keep the warnings of libraries out of the log: what matters of them comes as an event."""
    logging.disable(logging.CRITICAL)


def _error(error: BaseException | None) -> dict[str, str]:
    if error is None:
        return {}
    return {"error": f"{type(error).__name__}: {error}"}
