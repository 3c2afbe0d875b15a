"""Sealed secrets in a real PostgreSQL, and how the agents hear of them."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from tests.support.builders import NOON, VA
from tests.support.fakes import PATIENCE_S, LogBook
from uptimeo.catalog.feed import ChangeFeed
from uptimeo.catalog.rows import told_monitor
from uptimeo.catalog.sealing import KeyRing, add_key
from uptimeo.catalog.snapshot import CatalogSnapshot, Configuration
from uptimeo.catalog.values import ValueReader
from uptimeo.catalog.watcher import CatalogWatcher, Interpreter
from uptimeo.domain.errors import FatalError
from uptimeo.domain.monitor import DatacenterId, Monitor
from uptimeo.domain.secret import SealedSecret
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.storage import monitor_edits as edits
from uptimeo.storage import secrets
from uptimeo.storage.changes import ChangeNotices
from uptimeo.storage.database import Connection, Pool, one
from uptimeo.storage.monitors import MonitorStore

FIRST, SECOND = "first-value-of-it", "second-value-of-it"
NY = DatacenterId(2)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    add_key(tmp_path / "keys", NOON)
    return tmp_path / "keys"


async def save(connection: Connection, keys: Path, value: str, where: int | None = None) -> None:
    datacenter = None if where is None else DatacenterId(where)
    await secrets.put_secret(connection, KeyRing.read(keys).seal("api", datacenter, value))


def a_monitor(**changes: object) -> edits.NewMonitor:
    fields: dict[str, object] = {
        "name": "shop",
        "type": "HTTP",
        "url": "http://127.0.0.1:1/{{secret:api}}",
        "schedule": edits.NewSchedule(interval_s=60),
    }
    return edits.NewMonitor(**fields | changes)  # type: ignore[arg-type]


class Catalog:
    """A watcher on the real tables, and what it has put in force."""

    def __init__(self, pool: Pool, conninfo: str, directory: Path, reader: ValueReader) -> None:
        self.book = LogBook()
        self.changed = asyncio.Event()
        self.monitors: dict[str, Monitor] = {}
        self.snapshot = CatalogSnapshot(directory / "data")
        self.notices = ChangeNotices(conninfo)
        self.watcher = CatalogWatcher(
            source=MonitorStore(pool, VA),
            feed=ChangeFeed(notices=self.notices, poll_s=300, log=self.book.log),
            interpreter=Interpreter(registry=ProbeRegistry.installed(), reader=reader),
            apply=self._apply,
            remember=self.snapshot.save,
            log=self.book.log,
        )

    def _apply(self, monitors: object) -> None:
        self.monitors = {each.name: each for each in monitors}  # type: ignore[attr-defined]
        self.changed.set()

    async def after(self, event: str, count: int = 1) -> None:
        """Wait until that event is in the log so many times."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.book.lines(event)) < count:
                await asyncio.sleep(0.01)


async def test_a_secret_is_saved_listed_replaced_and_removed(
    connection: Connection, keys: Path
) -> None:
    await save(connection, keys, FIRST)
    await save(connection, keys, FIRST, where=2)
    await save(connection, keys, SECOND)

    lines = await secrets.secret_lines(connection)
    assert [(line.name, line.datacenter) for line in lines] == [("api", None), ("api", "NY")]
    assert await secrets.remove_secret(connection, "api", None)
    assert not await secrets.remove_secret(connection, "api", None)
    assert len(await secrets.secret_lines(connection)) == 1


async def test_an_agent_gets_those_of_its_datacenter_and_those_for_all(
    pool: Pool, connection: Connection, keys: Path
) -> None:
    for where in (None, VA, NY):
        await save(connection, keys, FIRST, where=where)

    found = await MonitorStore(pool, VA).sealed({"api", "other"})

    assert [row.datacenter_id for row in found] == [None, VA]
    assert {KeyRing.read(keys).open(row) for row in found} == {FIRST}


async def test_no_value_is_in_the_database(connection: Connection, keys: Path) -> None:
    await save(connection, keys, FIRST)

    row = await one(connection, "SELECT encode(ciphertext, 'escape') FROM secrets")

    assert FIRST not in row


@pytest.mark.parametrize("name", ["", "-x", "a b", "a}", "x" * 101])
async def test_a_name_that_no_reference_could_say_is_refused(
    connection: Connection, name: str
) -> None:
    with pytest.raises(psycopg.Error):
        await connection.execute(
            "INSERT INTO secrets (name, key_id, nonce, ciphertext) VALUES (%s, 'k', %s, '')",
            (name, bytes(12)),
        )


async def test_sealing_anew_changes_all_rows_or_none(connection: Connection, keys: Path) -> None:
    await save(connection, keys, FIRST)
    await save(connection, keys, SECOND, where=2)
    add_key(keys, NOON)
    ring = KeyRing.read(keys)

    def again(row: SealedSecret) -> SealedSecret:
        return ring.seal(row.name, row.datacenter_id, ring.open(row))

    def fails_later(row: SealedSecret) -> SealedSecret:
        if row.datacenter_id is None:
            raise FatalError("no key")
        return again(row)

    with pytest.raises(FatalError):
        await secrets.reseal(connection, fails_later)
    before = {line.key_id for line in await secrets.secret_lines(connection)}
    count = await secrets.reseal(connection, again)

    assert ring.newest not in before
    assert count == 2
    assert {line.key_id for line in await secrets.secret_lines(connection)} == {ring.newest}


async def test_a_changed_secret_is_in_force_at_its_notice_and_never_on_disk_or_in_the_log(
    pool: Pool, conninfo: str, connection: Connection, keys: Path, tmp_path: Path
) -> None:
    await save(connection, keys, FIRST)
    await edits.add_monitor(connection, a_monitor())
    catalog = Catalog(pool, conninfo, tmp_path, ValueReader(key_file=keys))
    loop = asyncio.create_task(catalog.watcher.run())
    try:
        await catalog.after("monitors_changed")
        await catalog.after("notifications_work")
        first = catalog.monitors["shop"]
        catalog.changed.clear()
        await save(connection, keys, SECOND)
        async with asyncio.timeout(PATIENCE_S):  # the poll would come after 300 s
            await catalog.changed.wait()
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await catalog.notices.aclose()

    second = catalog.monitors["shop"]
    assert first.target.endswith(FIRST)
    assert second.target.endswith(SECOND)
    kept = (tmp_path / "data" / "monitors.json").read_text()
    for text in (kept, catalog.book.stream.getvalue(), repr(first), repr(second)):
        assert FIRST not in text
        assert SECOND not in text
    assert "{{secret:api}}" in kept


async def test_what_was_remembered_resumes_without_a_database(
    pool: Pool, conninfo: str, connection: Connection, keys: Path, tmp_path: Path
) -> None:
    await save(connection, keys, "the-value")
    await edits.add_monitor(connection, a_monitor())
    before = Catalog(pool, conninfo, tmp_path, ValueReader(key_file=keys))
    await before.watcher.refresh()

    after = Catalog(pool, conninfo, tmp_path, ValueReader(key_file=keys))
    after.watcher.resume(after.snapshot.load())

    assert after.monitors["shop"].target == "http://127.0.0.1:1/the-value"


async def test_a_reference_that_cannot_be_resolved_disables_its_own_monitor_and_no_other(
    pool: Pool, conninfo: str, connection: Connection, keys: Path, tmp_path: Path
) -> None:
    await edits.add_monitor(connection, a_monitor())
    await edits.add_monitor(connection, a_monitor(name="plain", url="http://127.0.0.1:1/"))
    catalog = Catalog(pool, conninfo, tmp_path, ValueReader(key_file=keys))

    await catalog.watcher.refresh()
    disabled = set(catalog.monitors)
    reason = await one(connection, "SELECT reason FROM monitor_config_errors")
    await save(connection, keys, "the-value")
    await catalog.watcher.refresh()

    assert disabled == {"plain"}
    assert reason == "url: {{secret:api}} is not there: `uptimeo secret set` saves one"
    assert catalog.book.lines("monitor_invalid")[0]["reason"] == reason
    assert set(catalog.monitors) == {"plain", "shop"}
    assert await one(connection, "SELECT count(*) FROM monitor_config_errors") == 0


async def test_a_file_that_changed_is_seen_at_the_next_read_and_nothing_else_is_replaced(
    pool: Pool, conninfo: str, connection: Connection, tmp_path: Path
) -> None:
    (tmp_path / "api").write_text("the-value")
    await edits.add_monitor(
        connection, a_monitor(headers={"X-Api-Key": "{{file:api}}"}, url="http://h/")
    )
    await edits.add_monitor(connection, a_monitor(name="plain", url="http://127.0.0.1:1/"))
    catalog = Catalog(pool, conninfo, tmp_path, ValueReader(directory=tmp_path))
    await catalog.watcher.refresh()
    before = catalog.monitors

    (tmp_path / "api").write_text("another-value")
    await catalog.watcher.refresh()

    assert catalog.monitors["plain"] is before["plain"]
    assert catalog.monitors["shop"] != before["shop"]
    assert catalog.monitors["shop"].options.headers == {"X-Api-Key": "another-value"}  # type: ignore[attr-defined]
    assert catalog.book.lines("monitors_changed")[-1]["changed"] == 1


async def test_whoever_lacks_the_values_is_told_what_can_be_told(connection: Connection) -> None:
    registry = ProbeRegistry.installed()
    row = a_monitor(options={"ca_pem": "{{file:ca.pem}}"}).as_row()

    assert told_monitor(row, registry) is None
    assert told_monitor(a_monitor().as_row(), registry) is not None
    assert Configuration([row]).rows == [row]
