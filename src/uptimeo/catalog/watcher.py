"""Which monitors are in force now? The loop that follows the config tables."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from uptimeo.catalog.feed import ChangeFeed
from uptimeo.catalog.rows import row_references, to_monitor
from uptimeo.catalog.snapshot import Configuration
from uptimeo.catalog.values import ValueReader
from uptimeo.domain.errors import InvalidMonitorError, UptimeoError
from uptimeo.domain.monitor import Monitor, MonitorId
from uptimeo.domain.references import Reference, Source, Values
from uptimeo.domain.secret import SealedSecret
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.storage.monitors import MonitorRow
from uptimeo.telemetry import Log


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogState:
    """What is in force: `monitors` of them, `invalid` rows left out, after so many `changes`.

    `changed_at` is when this set came into force, `read_at` when the tables were read last, both
    by the host's own clock; None before that. A set that was resumed from disk was never read.
    """

    monitors: int
    invalid: int
    changes: int
    changed_at: datetime | None
    read_at: datetime | None


class MonitorSource(Protocol):
    """The config tables."""

    async def rows(self) -> list[MonitorRow]:
        """The enabled rows that run in this datacenter."""

    async def sealed(self, names: Collection[str]) -> list[SealedSecret]:
        """The secrets of these names that are for this datacenter."""

    async def record_errors(
        self, errors: Mapping[MonitorId, str], valid: Iterable[MonitorId]
    ) -> None:
        """Show which rows cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """What makes a monitor of a row: the installed types, and this host's values."""

    registry: ProbeRegistry
    reader: ValueReader


class CatalogWatcher:
    """Reads the rows whenever the feed says so, and hands on the set when it has changed.

    What references stand for is read anew each time, so that another file or secret counts as a
    change. While the database is away the last set stays in force. `remember` gets what the tables
    say of each new set, for a later start without a database; it may block.
    """

    def __init__(
        self,
        *,
        source: MonitorSource,
        feed: ChangeFeed,
        interpreter: Interpreter,
        apply: Callable[[Iterable[Monitor]], None],
        remember: Callable[[Configuration], None],
        log: Log,
    ) -> None:
        self._source = source
        self._feed = feed
        self._registry = interpreter.registry
        self._reader = interpreter.reader
        self._apply = apply
        self._remember = remember
        self._log = log
        self._rows: dict[int, MonitorRow] | None = None
        self._wanted: frozenset[Reference] = frozenset()
        self._sealed: list[SealedSecret] = []
        self._values = Values()
        self._monitors: dict[MonitorId, Monitor] = {}
        self._errors: dict[MonitorId, str] = {}
        self._failing = False
        self._changes = 0
        self._changed_at: datetime | None = None
        self._read_at: datetime | None = None

    def state(self) -> CatalogState:
        """What is in force."""
        return CatalogState(
            monitors=len(self._monitors),
            invalid=len(self._errors),
            changes=self._changes,
            changed_at=self._changed_at,
            read_at=self._read_at,
        )

    async def run(self) -> None:
        """Follow the tables for ever."""
        while True:
            await self._feed.listen()  # first, so that no change after the read is missed
            await self._refresh_and_tell()
            await self._feed.wait()

    def resume(self, seen: Configuration) -> None:
        """Put what an earlier run saw in force until the database answers; blocks."""
        values = self._reader.read(row_references(seen.rows), seen.sealed)
        monitors, errors = self._parse({row.id: row for row in seen.rows}, values)
        self._put_in_force(monitors, errors)

    async def _refresh_and_tell(self) -> None:
        try:
            await self.refresh()
            self._failing = False
        except UptimeoError as error:
            if not self._failing:
                self._log.monitors_unread(error)
            self._failing = True

    async def refresh(self) -> None:
        """Read once and apply what changed; raises TransientError when the tables are away."""
        rows = {row.id: row for row in await self._source.rows()}
        self._read_at = datetime.now(UTC)
        wanted = self._wanted if rows == self._rows else row_references(rows.values())
        sealed, values = await self._referred(wanted)
        if rows == self._rows and sealed == self._sealed and values == self._values:
            return
        monitors, errors = self._parse(rows, values)
        self._put_in_force(monitors, errors)
        await asyncio.to_thread(self._remember, Configuration(list(rows.values()), sealed))
        await self._source.record_errors(errors, monitors)
        # Last: an error that could not be recorded is tried again.
        self._rows, self._wanted, self._sealed, self._values = rows, wanted, sealed, values

    async def _referred(self, wanted: frozenset[Reference]) -> tuple[list[SealedSecret], Values]:
        if not wanted:
            return [], Values()
        names = {each.name for each in wanted if each.source is Source.SECRET}
        sealed = await self._source.sealed(names) if names else []
        return sealed, await asyncio.to_thread(self._reader.read, wanted, sealed)

    def _put_in_force(
        self, monitors: dict[MonitorId, Monitor], errors: dict[MonitorId, str]
    ) -> None:
        self._tell(monitors)
        if self._changed_at is None or (monitors, errors) != (self._monitors, self._errors):
            self._changes += 1
            self._changed_at = datetime.now(UTC)
        self._monitors, self._errors = monitors, errors
        self._apply(monitors.values())

    def _parse(
        self, rows: Mapping[int, MonitorRow], values: Values
    ) -> tuple[dict[MonitorId, Monitor], dict[MonitorId, str]]:
        """A bad row disables its own monitor, and no other."""
        monitors: dict[MonitorId, Monitor] = {}
        errors: dict[MonitorId, str] = {}
        for row in rows.values():
            key = MonitorId(row.id)
            if key in self._monitors and self._is_unchanged(row, values):
                monitors[key] = self._monitors[key]
                continue
            try:
                monitors[key] = to_monitor(row, self._registry, values)
            except InvalidMonitorError as error:
                errors[key] = str(error)
                if self._errors.get(key) != errors[key]:
                    self._log.monitor_invalid(row.id, row.name, errors[key])
        return monitors, errors

    def _is_unchanged(self, row: MonitorRow, values: Values) -> bool:
        if self._rows is None or self._rows.get(row.id) != row:
            return False
        return values == self._values or all(
            values.known.get(each) == self._values.known.get(each) for each in row_references([row])
        )

    def _tell(self, monitors: Mapping[MonitorId, Monitor]) -> None:
        old = self._monitors
        added = len(monitors.keys() - old.keys())
        removed = len(old.keys() - monitors.keys())
        changed = sum(1 for key in monitors.keys() & old.keys() if monitors[key] != old[key])
        if added or removed or changed:
            self._log.monitors_changed(
                total=len(monitors), added=added, changed=changed, removed=removed
            )
