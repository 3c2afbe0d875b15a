"""Does a check of a PostgreSQL log in, ask, judge, and keep what is ours to itself?"""

import asyncio
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.certificates import Authority
from tests.support.servers import HOST, answering, hanging_up, mute, refusing, response, serve
from tests.support.watched_postgres import Watched, watched_postgres
from uptimeo.probes.base import AddressGuard, ErrorType, Limits, ProbeContext, ProbeResult
from uptimeo.probes.sql.probe import SqlOptions, SqlProbe


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with watched_postgres() as server:
        yield server


async def check(url: str, context: ProbeContext | None = None, **options: Any) -> ProbeResult:
    given = SqlOptions.model_validate({"url": url} | options)
    return await SqlProbe().probe(given, context or ProbeContext(timeout_ms=3000))


def kind(result: ProbeResult) -> ErrorType | None:
    return result.failure.type if result.failure else None


def message(result: ProbeResult) -> str:
    assert result.failure is not None
    return result.failure.message


async def test_a_query_that_is_answered_is_up_and_each_step_is_a_phase(watched: Watched) -> None:
    result = await check(watched.url())

    assert result.failure is None
    assert result.phases.connect is not None
    assert set(result.phases.own) == {"login", "begin", "query"}
    assert result.facts["value"] == "1"
    assert result.facts["rows"] == 1
    assert result.facts["encrypted"] is False
    assert result.facts["server_version"].split(".")[0].isdecimal()
    assert result.resolved_ip == watched.host
    assert result.phases.total() <= (result.total_ms or 0)


@pytest.mark.parametrize(
    ("query", "given"),
    [
        ("SELECT 'ok'", {"equals": "ok"}),
        ("SELECT 3", {"equals": 3}),
        ("SELECT 3.0", {"equals": 3}),
        ("SELECT true", {"equals": True}),
        ("SELECT NULL", {"equals": None}),
        ("SELECT 'abc-12'", {"matches": r"^abc-\d+$"}),
        ("SELECT count(*) FROM orders", {"min": 1000, "max": 1000}),
        ("TABLE orders", {"min_rows": 1, "max_rows": 1000}),
        ("SELECT FROM orders WHERE false", {"max_rows": 0}),
        ("SHOW transaction_read_only", {"equals": "on"}),
        ("SET work_mem = '1MB'", {}),
    ],
)
async def test_a_value_as_expected_is_up(
    watched: Watched, query: str, given: dict[str, Any]
) -> None:
    assert (await check(watched.url(), query=query, **given)).failure is None


@pytest.mark.parametrize(
    ("query", "given", "expected"),
    [
        ("SELECT 'no'", {"equals": "ok"}, "expected the value 'ok', got 'no'"),
        ("SELECT true", {"equals": 1}, "expected the value 1.0, got 't'"),
        ("SELECT 1", {"equals": None}, "expected the value None, got '1'"),
        ("SELECT 'abc'", {"matches": "x"}, "expected a value that matches 'x', got 'abc'"),
        ("SELECT 5", {"max": 4}, "expected a value of at most 4, got '5'"),
        ("SELECT 'five'", {"min": 4}, "expected a value of at least 4, got 'five'"),
        ("SELECT 1 WHERE false", {"min": 0}, "expected a value of at least 0, got no row"),
        ("TABLE orders", {"max_rows": 3}, "expected 0 to 3 rows, got 1000"),
    ],
)
async def test_another_value_is_told_with_what_was_expected(
    watched: Watched, query: str, given: dict[str, Any], expected: str
) -> None:
    result = await check(watched.url(), query=query, **given)

    assert kind(result) is ErrorType.ASSERTION
    assert message(result) == f"{watched.host}:5432: {expected}"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("INSERT INTO orders VALUES (1)", "read-only transaction (SQLSTATE 25006)"),
        ("COMMIT; INSERT INTO orders VALUES (1)", "multiple commands"),
        ("SELECT * FROM nowhere", "SQLSTATE 42P01"),
        ("SELECT 1/0", "division by zero (SQLSTATE 22012)"),
        ("COPY orders TO STDOUT", "the answer is no table"),
    ],
)
async def test_a_query_that_fails_or_writes_is_refused_by_the_server(
    watched: Watched, query: str, expected: str
) -> None:
    result = await check(watched.url(), query=query)

    assert kind(result) is ErrorType.QUERY
    assert expected in message(result)
    assert result.failure is not None
    assert result.failure.phase == "query"


async def test_a_slow_query_ends_on_both_sides(watched: Watched) -> None:
    slow = "SELECT pg_sleep(30)"
    result = await check(watched.url(), ProbeContext(timeout_ms=400), query=slow)
    running = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    async with asyncio.timeout(5):
        while (await check(watched.url(), query=running)).facts["value"] != "0":
            await asyncio.sleep(0.05)

    assert kind(result) is ErrorType.TIMEOUT
    assert result.total_ms is not None
    assert result.total_ms < 600


async def test_an_endless_answer_is_cut_off(watched: Watched) -> None:
    query = "SELECT repeat('x', 100000) FROM generate_series(1, 10000)"
    result = await check(watched.url(), query=query)

    assert kind(result) is ErrorType.BODY_TOO_LARGE


@pytest.mark.parametrize("user", ["ann", "md5user"])
async def test_each_way_to_log_in_works_and_a_wrong_password_is_told(
    watched: Watched, user: str
) -> None:
    right = await check(watched.url(user))
    wrong = await check(watched.url(user, "wr0ng"))

    assert right.failure is None
    assert kind(wrong) is ErrorType.AUTHENTICATION
    assert "wr0ng" not in message(wrong)
    assert wrong.failure is not None
    assert wrong.failure.phase == "login"


async def test_tls_is_a_phase_and_is_verified_when_an_authority_is_given(watched: Watched) -> None:
    authority = Authority.new()
    async with watched.behind_tls(authority.valid()) as server:
        good = await check(server.url(), ca_pem=authority.pem)
        unverified = await check(server.url())
        other = await check(server.url(), ca_pem=Authority.new().pem)
        full = await check(server.url(query="?sslmode=verify-full"))
    async with watched.behind_tls(authority.valid("other.example")) as server:
        hostname = await check(server.url(), ca_pem=authority.pem)
    without = await check(watched.url(), ca_pem=authority.pem)

    assert good.failure is None
    assert good.phases.tls is not None
    assert good.facts["encrypted"] is True
    assert unverified.failure is None
    assert kind(other) is ErrorType.TLS_UNTRUSTED
    assert kind(full) is ErrorType.TLS_UNTRUSTED
    assert kind(hostname) is ErrorType.TLS_HOSTNAME
    assert kind(without) is ErrorType.TLS


async def test_nothing_of_the_agents_own_access_is_sent(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=77MB")
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")

    without = await check(f"postgresql://ann@{watched.host}/uptimeo")
    options = await check(watched.url(), query="SHOW work_mem")

    assert kind(without) is ErrorType.AUTHENTICATION
    assert options.facts["value"] != "77MB"


def backend(kind_: bytes, body: bytes) -> bytes:
    return kind_ + struct.pack("!i", len(body) + 4) + body


async def test_a_server_that_claims_a_huge_message_is_cut_off() -> None:
    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"N")
        await reader.read(1000)
        writer.write(backend(b"R", struct.pack("!i", 0)) + backend(b"Z", b"I"))
        await reader.read(1000)
        writer.write(b"T" + struct.pack("!i", 1_000_000_000))
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with serve(flooding) as server:
        result = await check(f"postgresql://ann@{HOST}:{server.port}/x")

    assert kind(result) is ErrorType.BODY_TOO_LARGE


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (mute, ErrorType.TIMEOUT),
        (hanging_up, ErrorType.EMPTY_RESPONSE),
        (answering(response("200 OK")), ErrorType.TIMEOUT),
    ],
)
async def test_what_is_no_postgresql_has_its_own_failure(script: Any, expected: ErrorType) -> None:
    async with serve(script) as server:
        url = f"postgresql://ann:pw@{HOST}:{server.port}/x"
        result = await check(url, ProbeContext(timeout_ms=300))

    assert kind(result) is expected
    assert str(server.port) in message(result)


async def test_a_closed_port_and_a_forbidden_address_are_told_apart() -> None:
    with refusing() as server:
        url = f"postgresql://ann@localhost:{server.port}/x?sslmode=disable"
        closed = await check(url, family="v4")
        guarded = ProbeContext(timeout_ms=3000, guard=AddressGuard.of("default"))
        forbidden = await check(url, guarded)

    assert kind(closed) is ErrorType.CONNECT_REFUSED
    assert closed.phases.dns is not None
    assert kind(forbidden) is ErrorType.ADDRESS_FORBIDDEN


async def test_the_limit_of_the_agent_holds(watched: Watched) -> None:
    tight = ProbeContext(timeout_ms=3000, limits=Limits(read_bytes=20_000))
    result = await check(watched.url(), tight, query="SELECT repeat('x', 1000000)")

    assert kind(result) is ErrorType.BODY_TOO_LARGE


def test_the_password_is_never_shown() -> None:
    options = SqlOptions(url="postgresql://ann:hunter2@db.example:6432/shop?sslmode=require")

    assert options.target == "postgresql://ann@db.example:6432/shop"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql://db.example/x",
        "postgresql://ann@/x?host=/run/postgresql",
        "postgresql://ann@a,b/x",
        "postgresql://ann@db:0/x",
        "postgresql://ann:hunter2@db/x?sslkey=/etc/shadow",
        "postgresql://ann:hunter2@db/x?hostaddr=127.0.0.1",
        "postgresql://ann:hunter2@db/x?passfile=/etc/shadow",
        "postgresql://ann:hunter2@db/x?hunter2=1",
        "postgresql://ann@db/x?password=hunter2",
        "postgresql://ann:hunter2%zz@db/x",
        "host=db user=ann",
    ],
)
def test_a_url_that_reaches_elsewhere_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SqlOptions(url=url)

    shown = caught.value.errors(include_input=False, include_context=False)[0]["msg"]
    assert "hunter2@" not in shown
    assert "hunter2%" not in shown


@pytest.mark.parametrize(
    "given",
    [
        {"query": ""},
        {"query": "a\x00b"},
        {"min": 2, "max": 1},
        {"matches": "("},
        {"ca_pem": "no"},
        {"min_rows": -1},
    ],
)
def test_assertions_that_cannot_be_meant_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SqlOptions.model_validate({"url": "postgresql://ann@db/x"} | given)
