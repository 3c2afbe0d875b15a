"""Are the signals of jobs kept, bounded and read as they were told? On a real PostgreSQL."""

from hashlib import sha256
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from uptimeo.domain.errors import TransientError
from uptimeo.domain.result import ErrorType, Outcome
from uptimeo.domain.signal import SignalKind, SignalState
from uptimeo.probes.base import ProbeContext
from uptimeo.probes.push.options import PushOptions
from uptimeo.probes.push.probe import PushProbe
from uptimeo.storage.database import Connection, Pool
from uptimeo.storage.signals import SignalStore

TOKEN = sha256(b"token").hexdigest()
ADD = "INSERT INTO api_monitors (name, type, url, options) VALUES ('backup', %s, 'push://b', %s)"


@pytest.fixture
async def store(pool: Pool, connection: Connection) -> SignalStore:
    await connection.execute(ADD, ("PUSH", Jsonb({"token_sha256": TOKEN, "period_s": 60})))
    return SignalStore(pool)


async def tell(store: SignalStore, kind: SignalKind, exit_status: int | None = None) -> bool:
    return await store.receive(TOKEN, kind, exit_status, "192.0.2.7", "all well\n")


async def known(store: SignalStore) -> SignalState:
    state = await store.read(TOKEN)
    assert state is not None
    return state


async def test_a_run_is_kept_with_its_length_and_its_words(store: SignalStore) -> None:
    assert await tell(store, SignalKind.START)
    running = await known(store)
    assert await tell(store, SignalKind.EXIT, 3)
    state = await known(store)

    assert running.running is not None
    assert running.last_end is None
    assert state.last_end is not None
    assert (state.last_end.exit_status, state.last_end.body) == (3, "all well\n")
    assert state.last_end.run_ms is not None
    assert state.last_end.run_ms > 0
    assert state.running is None
    assert state.since < state.last_end.at < state.now


async def test_an_end_without_a_start_has_no_length(store: SignalStore) -> None:
    await tell(store, SignalKind.START)
    await tell(store, SignalKind.SUCCESS)
    await tell(store, SignalKind.SUCCESS)

    end = (await known(store)).last_end
    assert end is not None
    assert end.run_ms is None


async def test_a_token_that_nobody_has_is_not_kept(
    store: SignalStore, connection: Connection
) -> None:
    other = sha256(b"other").hexdigest()

    assert not await store.receive(other, SignalKind.SUCCESS, None, "", "")
    assert await store.read(other) is None
    count = await (await connection.execute("SELECT count(*) FROM push_signals")).fetchone()
    assert count == (0,)


async def test_of_each_monitor_a_hundred_starts_and_a_hundred_others_stay(
    store: SignalStore, connection: Connection
) -> None:
    await tell(store, SignalKind.SUCCESS)
    for _ in range(105):
        await tell(store, SignalKind.START)
    rows = await (
        await connection.execute("SELECT kind, count(*) FROM push_signals GROUP BY 1 ORDER BY 1")
    ).fetchall()

    assert rows == [("start", 100), ("success", 1)]


async def test_two_monitors_cannot_share_a_token(
    store: SignalStore, connection: Connection
) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        await connection.execute(ADD, ("push", Jsonb({"token_sha256": TOKEN})))


async def test_signals_go_with_their_monitor(store: SignalStore, connection: Connection) -> None:
    await tell(store, SignalKind.SUCCESS)
    await connection.execute("DELETE FROM api_monitors")
    count = await (await connection.execute("SELECT count(*) FROM push_signals")).fetchone()

    assert count == (0,)


async def test_attendance_goes_on_or_begins_anew_after_a_pause(
    store: SignalStore, connection: Connection
) -> None:
    first = await store.attend("a", None)
    same = await store.attend("a", first)
    await connection.execute("UPDATE push_receiving SET seen_at = seen_at - interval '16 seconds'")
    later = await store.attend("a", first)

    assert same == first
    assert later != first
    assert len((await known(store)).stretches) == 1  # the older one ended before the monitor


class Away:
    """A database that does not answer."""

    async def read(self, token_sha256: str) -> SignalState | None:
        raise TransientError("the server closed the connection")


async def checked(context: ProbeContext, **given: Any) -> Any:
    fields = {"url": "push://b", "token_sha256": TOKEN, "period_s": 60}
    return await PushProbe().probe(PushOptions.model_validate(fields | given), context)


async def test_a_check_reads_what_was_signalled(store: SignalStore) -> None:
    context = ProbeContext(timeout_ms=3000, signals=store)
    await store.attend("a", None)
    await tell(store, SignalKind.START)
    await tell(store, SignalKind.SUCCESS)
    good = await checked(context)
    await tell(store, SignalKind.EXIT, 9)
    bad = await checked(context)

    assert good.outcome is Outcome.UP
    assert good.total_ms > 0
    assert good.facts["last_signal"] == "success"
    assert 0 <= good.facts["since_last_s"] < 60
    assert bad.failure.type is ErrorType.EXIT_STATUS
    assert "exit status 9" in bad.failure.message
    assert bad.exchange.body_start == b"all well\n"


async def test_what_cannot_be_read_is_unknown_and_never_down(store: SignalStore) -> None:
    away = await checked(ProbeContext(timeout_ms=3000, signals=Away()))
    nowhere = await checked(ProbeContext(timeout_ms=3000))
    late = await checked(ProbeContext(timeout_ms=0, signals=store))
    other = await checked(
        ProbeContext(timeout_ms=3000, signals=store), token_sha256=sha256(b"x").hexdigest()
    )

    assert away.failure.type is late.failure.type is ErrorType.UNHEARD
    assert nowhere.failure.type is ErrorType.UNSUPPORTED
    assert other.failure.type is ErrorType.MISCONFIGURED
    assert {each.outcome for each in (away, nowhere, late, other)} == {Outcome.UNKNOWN}
