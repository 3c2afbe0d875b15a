"""What is a scraper told, of which monitors, and is it ever in the way?"""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import NOON, failed, heartbeat, monitor, origin
from tests.support.fakes import FakeSink, LogBook, eventually
from tests.support.http_asking import asked
from tests.support.ops import (
    an_exposition,
    answered,
    calibration,
    facts,
    many_results,
    own_metrics,
    results_of,
    samples,
    value,
)
from uptimeo.calibration.measure import PhaseError
from uptimeo.domain.errors import RejectedError, TransientError
from uptimeo.domain.heartbeat import Ingested
from uptimeo.domain.presence import SpoolState
from uptimeo.domain.result import ErrorType, Exchange
from uptimeo.ops.app import make_app
from uptimeo.ops.counting import Distribution
from uptimeo.ops.endpoint import BOUNDS, OpsEndpoint
from uptimeo.ops.facts import LoopFacts
from uptimeo.ops.flushes import CountedSink
from uptimeo.ops.health import LATE_S, health, readiness
from uptimeo.ops.probe_metrics import FAMILIES
from uptimeo.ops.results import MOST_MONITORS, Results
from uptimeo.ops.series import pieces
from uptimeo.serving import Server


async def scraped(results: Results, term: int | None = 1) -> str:
    return b"".join(await an_exposition(results, term=term).text()).decode()


async def test_each_monitor_in_force_has_its_series_with_the_labels_of_the_agent() -> None:
    results = results_of((monitor(1, type="https"), answered()), (monitor(2), failed()))
    found = samples(await scraped(results))

    assert value(found, "probe_success", monitor_id="1", type="https", agent="agent-a") == 1
    assert value(found, "probe_success", monitor_id="2", datacenter="VA") == 0
    assert value(found, "probe_http_status_code", monitor_id="1", monitor="checkout") == 200
    assert value(found, "uptimeo_monitor_status", monitor_id="2", status="down") == 1


async def test_a_monitor_that_is_removed_vanishes_and_its_last_check_does_not_bring_it_back() -> (
    None
):
    gone, stays = monitor(1), monitor(2)
    results = results_of((gone, answered()), (stays, answered()))
    results.keep([stays])
    results.take(heartbeat(monitor=gone, result=answered()))
    found = samples(await scraped(results))

    assert value(found, "probe_success", monitor_id="1") is None
    assert value(found, "probe_success", monitor_id="2") == 1


async def test_a_monitor_that_changes_shows_nothing_before_it_is_checked_anew() -> None:
    old = monitor(1)
    results = results_of((old, answered()))
    changed = monitor(1, name="newer")
    results.keep([changed])
    results.take(heartbeat(monitor=old, result=answered()))
    before = value(samples(await scraped(results)), "probe_success", monitor_id="1")
    results.take(heartbeat(monitor=changed, result=answered()))

    assert before is None
    assert value(samples(await scraped(results)), "probe_success", monitor="newer") == 1


async def test_a_standby_shows_no_results_and_a_new_term_none_of_the_last() -> None:
    one = monitor(1)
    results = results_of((one, answered()))

    assert value(samples(await scraped(results, term=None)), "probe_success") is None
    assert value(samples(await scraped(results, term=2)), "probe_success") is None
    results.take(heartbeat(monitor=one, result=answered(), origin=origin(term=2)))
    assert value(samples(await scraped(results, term=2)), "probe_success") == 1


async def test_of_too_many_monitors_the_first_are_shown_and_a_figure_says_how_many_are_not() -> (
    None
):
    results = Results({"datacenter": "VA", "agent": "a"})
    monitors = [monitor(number) for number in range(MOST_MONITORS + 3, 0, -1)]
    results.keep(monitors)
    for each in monitors:
        results.take(heartbeat(monitor=each))

    assert len(results.shown(1)) == MOST_MONITORS
    assert results.left_out == 3
    assert 'monitor_id="1"' in results.shown(1)[0].labels
    found = samples(own_metrics(results).text(facts()))
    assert value(found, "uptimeo_monitors_without_series") == 3


@given(name=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=100))
def test_a_monitor_may_be_called_anything(name: str) -> None:
    results = results_of((monitor(1, name=name), answered()))
    text = "".join(pieces(FAMILIES, results.shown(1)))

    assert value(samples(text), "probe_success", monitor=name) == 1


def test_no_piece_of_the_text_is_large_however_many_monitors_there_are() -> None:
    """The loop has its turn after each of them."""
    lines = [piece.count("\n") for piece in pieces(FAMILIES, many_results(3000).shown(1))]

    assert sum(lines) > 80_000
    assert max(lines) < 1500


def test_what_a_plugin_returns_against_its_types_is_counted_and_not_shown() -> None:
    one = monitor(1, type="http")
    results = results_of((one, answered()))
    odd = Exchange(status_code="fine")  # type: ignore[arg-type]
    results.take(heartbeat(monitor=one, result=answered(exchange=odd)))

    assert results.unreadable == 1
    assert results.shown(1) == []


def test_heartbeats_errors_and_delays_are_counted() -> None:
    results = results_of((monitor(1), answered()), (monitor(2), failed()))
    skipped = failed(ErrorType.SKIPPED_OVERRUN)
    results.take(heartbeat(result=skipped, attempts=0))
    late = NOON + timedelta(milliseconds=30)
    results.take(heartbeat(result=answered(), executed_at=late))
    found = samples(own_metrics(results).text(facts()))

    assert value(found, "uptimeo_heartbeats_total", status="up") == 2
    assert value(found, "uptimeo_heartbeats_total", status="unknown") == 1
    assert value(found, "uptimeo_errors_total", error_type="skipped_overrun") == 1
    assert value(found, "uptimeo_errors_total", error_type="timeout") == 0
    delay = "uptimeo_check_start_delay_seconds"
    assert value(found, f"{delay}_count") == 3, "a slot that was skipped did not start late"
    assert value(found, f"{delay}_bucket", le="0.025") == 2
    assert value(found, f"{delay}_bucket", le="0.05") == 3


def test_what_is_not_known_yet_has_no_sample() -> None:
    unknown = facts(
        database_ago_s=None,
        days_ahead=None,
        retention_held=None,
        loop=LoopFacts(p99_ms=None, worst_ms=None, stalls=0, overdue_s=None),
    )
    found = samples(own_metrics(Results({})).text(unknown))

    assert value(found, "uptimeo_database_answer_age_seconds") is None
    assert value(found, "uptimeo_partitions_ahead") is None
    assert value(found, "uptimeo_retention_held") is None
    assert value(found, "uptimeo_loop_lag_p99_seconds") is None
    assert value(found, "uptimeo_leader") == 1


def test_unusual_heartbeats_have_a_sample_for_each_sender_and_kind_and_none_without() -> None:
    unusual = {("LON", "not due there and then"): 3, ("LON", "more than were due"): 1}
    name = "uptimeo_unusual_heartbeats"

    found = samples(own_metrics(Results({})).text(facts(unusual=unusual)))
    ordinary = samples(own_metrics(Results({})).text(facts()))

    assert value(found, name, sender="LON", kind="not due there and then", datacenter="VA") == 3
    assert value(found, name, sender="LON", kind="more than were due") == 1
    assert value(ordinary, name) is None


@pytest.mark.parametrize("held", [True, False])
def test_retention_that_is_held_is_one_and_else_zero(held: bool) -> None:
    found = samples(own_metrics(Results({})).text(facts(retention_held=held)))

    assert value(found, "uptimeo_retention_held", datacenter="VA") == held


def test_the_spool_says_how_long_its_oldest_has_waited() -> None:
    oldest_at = NOON - timedelta(seconds=90)
    spool = SpoolState(rows=5, bytes=4096, dropped=2, oldest_at=oldest_at)
    found = samples(own_metrics(Results({})).text(facts(spool=spool)))

    assert value(found, "uptimeo_spool_oldest_age_seconds") == 90
    assert value(found, "uptimeo_spool_heartbeats") == 5
    assert value(found, "uptimeo_spool_dropped_total") == 2


class Refusing(FakeSink):
    """A database that sets some rows of each batch aside."""

    async def ingest(self, bodies: Sequence[str]) -> Ingested:
        await super().ingest(bodies)
        reasons = {0: "executed after its term", 1: "of a kind that nobody knows"}
        return Ingested(inserted=len(bodies) - 3, duplicate=1, set_aside=reasons)


async def test_batches_are_counted_on_their_way_and_are_not_changed() -> None:
    sink, moments = Refusing(), iter([1.0, 1.2, 2.0, 3.0])
    counted = CountedSink(sink, lambda: next(moments))
    done = await counted.ingest(["{}"] * 5)
    sink.down = True
    with pytest.raises(TransientError):
        await counted.ingest(["{}"])
    sink.down = False
    await counted.set_aside("{", "no heartbeat")

    assert done.inserted == counted.inserted == 2
    assert counted.duplicates == 1
    assert (counted.seconds.count, counted.rows.total, counted.failed) == (1, 5, 1)
    assert counted.seconds.total == pytest.approx(0.2)
    aside = {reason: count for reason, count in counted.set_asides.items() if count}
    assert aside == {"executed after its term": 1, "other": 1, "refused or damaged": 1}
    assert sink.refused == [("{", "no heartbeat")]


async def test_a_refusal_of_the_database_is_handed_on() -> None:
    sink = FakeSink()
    sink.refuses = lambda body: True
    counted = CountedSink(sink, lambda: 0.0)

    with pytest.raises(RejectedError):
        await counted.ingest(["{}"])
    assert counted.failed == 1


@given(values=st.lists(st.floats(0, 1000), max_size=50))
def test_a_distribution_counts_each_value_up_to_its_bound(values: list[float]) -> None:
    counted = Distribution((1, 10, 100))
    for each in values:
        counted.observe(each)

    assert counted.cumulative() == [
        (bound, sum(each <= bound for each in values)) for bound in (1, 10, 100, float("inf"))
    ]
    assert counted.count == len(values)


def test_an_agent_lives_while_its_loops_run_on_time() -> None:
    late = LoopFacts(p99_ms=1, worst_ms=1, stalls=0, overdue_s=LATE_S + 1)

    assert health(facts()).good
    assert health(facts(leads=False, may_check=False, database_ago_s=None)).good
    assert not health(facts(loop=late)).good
    assert health(facts(ended=("sender",))).body["problems"] == ["the loop sender has ended"]


@pytest.mark.parametrize(
    ("changes", "ready", "degraded"),
    [
        ({}, True, False),
        ({"leads": False, "may_check": False}, True, False),
        ({"database_ago_s": 60.0}, True, True),
        ({"leads": False, "may_check": False, "database_ago_s": 60.0}, False, True),
        ({"leads": False, "may_check": False, "database_ago_s": None}, False, True),
        ({"may_check": False}, False, True),
        ({"spool_sound": False}, False, True),
        ({"ended": ("scheduler",)}, False, True),
    ],
)
def test_a_leader_is_ready_that_checks_and_a_standby_that_could(
    changes: dict[str, object], ready: bool, degraded: bool
) -> None:
    verdict = readiness(facts(**changes))

    assert (verdict.good, verdict.body["ready"]) == (ready, ready)
    assert verdict.body["degraded"] == degraded
    assert bool(verdict.body["problems"]) != ready


def errors(mean_ms: float) -> tuple[PhaseError, ...]:
    return (
        PhaseError(phase="first byte", mean_ms=mean_ms, p50_ms=mean_ms, p99_ms=2.0, max_ms=3.0),
    )


@asynccontextmanager
async def at_work(loop_of: object) -> AsyncIterator[None]:
    running = asyncio.create_task(loop_of.run())  # type: ignore[attr-defined]
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_the_agent_s_own_error_is_shown_once_it_was_measured() -> None:
    calibrating = calibration(errors(0.5))
    metrics = own_metrics(Results({}), calibrating)
    before = samples(metrics.text(facts()))
    async with at_work(calibrating):
        await eventually(lambda: calibrating.measured_at is not None)
    found = samples(metrics.text(facts()))

    name = "uptimeo_calibration_error_seconds"
    assert value(before, name, phase="first_byte", quantile="0.5") is None
    assert value(before, "uptimeo_calibration_timestamp_seconds") is None
    assert value(found, name, phase="first_byte", quantile="0.5") == 0.0005
    assert value(found, name, phase="first_byte", quantile="0.99") == 0.002
    assert value(found, name, phase="first_byte", quantile="1") == 0.003
    checks = value(found, f"{name}_count", phase="first_byte")
    assert checks is not None
    assert value(found, f"{name}_sum", phase="first_byte") == pytest.approx(checks * 0.0005)
    assert value(found, "uptimeo_calibration_timestamp_seconds") is not None


async def test_a_calibration_that_fails_is_an_event_and_a_count() -> None:
    log = LogBook()
    calibrating = calibration(log=log)
    async with at_work(calibrating):
        await eventually(lambda: bool(log.events()))

    assert log.events() == ["calibration_failed"]
    assert "no check of 20 succeeded; the first: refused" in log.lines()[0]["error"]
    assert calibrating.failures == 1


def endpoint(port: int, results: Results, log: LogBook) -> OpsEndpoint:
    app = make_app(facts, an_exposition(results))
    return OpsEndpoint(("127.0.0.1", port), lambda: Server(app, BOUNDS), log.log)


async def address_of(log: LogBook) -> str:
    await eventually(lambda: bool(log.lines("ops_started")))
    return str(log.lines("ops_started")[0]["address"])


async def test_only_looking_is_allowed_and_nothing_else_is_there() -> None:
    log = LogBook()
    async with at_work(endpoint(0, many_results(2), log)):
        address = await address_of(log)
        statuses = [
            (await asked(address, path, method))[0]
            for path, method in [
                ("/healthz", "GET"),
                ("/healthz", "HEAD"),
                ("/metrics", "HEAD"),
                ("/metrics", "POST"),
                ("/readyz", "DELETE"),
                ("/", "GET"),
                ("/metrics/", "GET"),
            ]
        ]
        _, headers, body = await asked(address, "/metrics", "HEAD")

    assert statuses == [200, 200, 200, 405, 405, 404, 404]
    assert body == b""
    assert "content-length: 0" not in headers


async def test_a_scraper_that_takes_gzip_gets_the_same_smaller() -> None:
    log = LogBook()
    async with at_work(endpoint(0, many_results(50), log)):
        address = await address_of(log)
        _, headers, plain = await asked(address, "/metrics")
        _, packed_headers, packed = await asked(address, "/metrics", "GET", "Accept-Encoding: gzip")

    assert "content-type: text/plain; version=0.0.4; charset=utf-8" in headers
    assert "content-encoding: gzip" in packed_headers
    assert gzip.decompress(packed) == plain, "within a second all are told the same"
    assert len(packed) * 4 < len(plain)


async def test_headers_that_have_no_end_are_refused() -> None:
    log = LogBook()
    async with at_work(endpoint(0, many_results(1), log)):
        address = await address_of(log)
        reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
        writer.write(b"GET /metrics HTTP/1.1\r\nX-Long: " + b"x" * 100_000)
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_more_scrapers_than_there_are_places_for_are_sent_away() -> None:
    log = LogBook()
    async with at_work(endpoint(0, many_results(1), log)):
        host, _, port = (await address_of(log)).rpartition(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(BOUNDS.connections)]
        status, _, _ = await asked(f"{host}:{port}", "/healthz")
        for _, writer in idle:
            writer.close()

    assert status == 503


async def test_a_port_in_use_is_an_event_and_a_free_one_is_taken_afterwards() -> None:
    log = LogBook()
    with socket.create_server(("127.0.0.1", 0)) as other:
        serving = endpoint(other.getsockname()[1], many_results(1), log)
        async with at_work(serving):
            await eventually(lambda: bool(log.events()))

    assert log.events() == ["ops_unavailable"]
    assert "in use" in log.lines()[0]["error"]
    async with at_work(serving):
        await address_of(log)
