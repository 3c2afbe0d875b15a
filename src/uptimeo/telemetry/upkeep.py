"""The events of what is done once for the whole installation, by the agent that maintains it."""

from datetime import UTC, datetime
from typing import Any

from uptimeo.domain.partition import Hold


class UpkeepEvents:
    """A part of `Log`."""

    _logger: Any

    def maintenance_taken(self, term: int | None) -> None:
        """This agent maintains the installation."""
        self._logger.info(
            "maintenance_taken", message="This agent maintains the installation", term=term
        )

    def maintenance_left(self, term: int | None, error: Exception | None) -> None:
        """This agent maintains it no longer: given back, lost, or the database is away."""
        self._logger.info(
            "maintenance_left",
            message="This agent maintains the installation no longer",
            term=term,
            **error_fields(error),
        )

    def chore_failed(self, chore: str, error: Exception, retry_s: float) -> None:
        """Maintenance failed in one point; it is tried again, and the rest goes on."""
        self._logger.error(
            "chore_failed",
            message=f"Maintenance failed: {chore}",
            chore=chore,
            retry_s=retry_s,
            **error_fields(error),
        )

    def partitions_made(self, names: list[str]) -> None:
        """There is room for rows to come."""
        self._logger.info("partitions_made", message="Partitions made", partitions=names)

    def partitions_short(self, parent: str, days: int) -> None:
        """Soon there will be no room for new rows, which are then set aside."""
        self._logger.error(
            "partitions_short",
            message=f"Partitions of {parent} end {max(0, days)} days after today",
            table=parent,
            days_ahead=days,
        )

    def partition_dropped(self, partition: str) -> None:
        """All its rows were older than the installation keeps them."""
        self._logger.info("partition_dropped", message="Partition dropped", partition=partition)

    def retention_delayed(self, partition: str, retry_s: float) -> None:
        """It is too old, and somebody uses its table: it is tried again, nobody is ended."""
        self._logger.info(
            "retention_delayed",
            message="Partition not dropped yet: its table is being used",
            partition=partition,
            retry_s=retry_s,
        )

    def retention_held(self, hold: Hold) -> None:
        """Nothing is dropped: the database's clock is far ahead of what was seen to pass."""
        self._logger.warning(
            "retention_held",
            message=f"Nothing is dropped: the database's clock is {hold.ahead.days} days ahead",
            believed=_utc(hold.believed_at),
            clock=_utc(hold.clock_at),
            since=_utc(hold.since),
            resumes_after_h=None if hold.still is None else hold.still.total_seconds() / 3600,
        )

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


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def error_fields(error: BaseException | None) -> dict[str, str]:
    """What a line says of an error; nothing without one."""
    return {} if error is None else {"error": f"{type(error).__name__}: {error}"}
