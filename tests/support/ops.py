"""What stands in a test where a running agent stands: its facts, and the results of its checks."""

from datetime import UTC, datetime
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.builders import NOON, failed, heartbeat, monitor, result
from tests.support.fakes import FakeSink, LogBook
from uptimeo.calibration.measure import Calibration, PhaseError, Plan
from uptimeo.catalog.watcher import CatalogState
from uptimeo.domain.monitor import Monitor
from uptimeo.domain.presence import SpoolState
from uptimeo.domain.result import Exchange, Phases, ProbeResult
from uptimeo.ops.calibrating import SelfCalibration
from uptimeo.ops.exposition import Exposition
from uptimeo.ops.facts import AgentFacts, LoopFacts
from uptimeo.ops.flushes import CountedSink
from uptimeo.ops.metrics import Accounts, OwnMetrics
from uptimeo.ops.results import Results

FIXED = {"datacenter": "VA", "agent": "agent-a"}
CERTIFICATE = {
    "leaf_expires": "2027-01-01T00:00:00+00:00",
    "chain_expires": "2026-12-01T00:00:00+00:00",
}


def facts(**changes: Any) -> AgentFacts:
    """A leader to which nothing ever happened."""
    given: dict[str, Any] = {
        "now": NOON,
        "leads": True,
        "may_check": True,
        "newest_term": 3,
        "database_ago_s": 0.4,
        "patience_s": 5.0,
        "spool": SpoolState(rows=0, bytes=4096, dropped=0),
        "spool_sound": True,
        "catalog": CatalogState(
            monitors=1, invalid=0, changes=1, changed_at=NOON, read_at=datetime.now(UTC)
        ),
        "loop": LoopFacts(p99_ms=0.5, worst_ms=2.0, stalls=0, overdue_s=0.0),
        "in_flight": 0,
        "days_ahead": 7,
        "retention_held": False,
    }
    return AgentFacts(**given | changes)


def answered(**changes: Any) -> ProbeResult:
    """An HTTPS check of 210 ms that went well."""
    given: dict[str, Any] = {
        "total_ms": 210.0,
        "phases": Phases(dns=10, connect=20, tls=30, send=1, wait=99, transfer=50),
        "resolved_ip": "192.0.2.1",
        "exchange": Exchange(
            status_code=200,
            http_version="2",
            size_bytes=1234,
            response_headers=(("content-length", "999"),),
        ),
        "facts": {"certificate": CERTIFICATE},
    }
    return result(**given | changes)


def many_results(count: int) -> Results:
    """Those of so many HTTPS monitors, one in ten of them down."""
    results = Results(FIXED)
    monitors = [
        monitor(number, name=f"the monitor {number} of many", type="https")
        for number in range(1, count + 1)
    ]
    results.keep(monitors)
    for each in monitors:
        outcome = failed() if each.id % 10 == 0 else answered()
        results.take(heartbeat(monitor=each, result=outcome))
    return results


def results_of(*outcomes: tuple[Monitor, ProbeResult]) -> Results:
    """Those of these monitors, in the first term."""
    results = Results(FIXED)
    results.keep([each for each, _ in outcomes])
    for each, outcome in outcomes:
        results.take(heartbeat(monitor=each, result=outcome))
    return results


def calibration(errors: tuple[PhaseError, ...] = (), log: LogBook | None = None) -> SelfCalibration:
    """One that finds these errors, again and again."""

    async def measured(plan: Plan) -> Calibration:
        return Calibration(checks=plan.checks, errors=errors, failed=("refused",))

    return SelfCalibration(measure=measured, every_s=0.05, log=(log or LogBook()).log)


def own_metrics(results: Results, calibrating: SelfCalibration | None = None) -> OwnMetrics:
    """Those of an agent that has stored nothing yet."""
    flushes = CountedSink(FakeSink(), lambda: 0.0)
    accounts = Accounts(results=results, flushes=flushes, calibration=calibrating)
    return OwnMetrics(FIXED, accounts)


def an_exposition(results: Results, **changes: Any) -> Exposition:
    """What is scraped of an agent in its first term; `term` and `facts` may be others."""
    term = changes.pop("term", 1)
    return Exposition(
        facts=lambda: facts(**changes),
        term=lambda: term,
        own=own_metrics(results),
        results=results,
    )


def samples(text: str | bytes) -> list[Sample]:
    """All samples, as Prometheus's own parser for Python reads them."""
    decoded = text.decode() if isinstance(text, bytes) else text
    return [each for family in text_string_to_metric_families(decoded) for each in family.samples]


def value(found: list[Sample], name: str, **labels: str) -> float | None:
    """The one sample of that name with these labels among its own; None if there is none."""
    matching = [
        each.value for each in found if each.name == name and labels.items() <= each.labels.items()
    ]
    assert len(matching) < 2, f"{name} {labels} is not one: {matching}"
    return matching[0] if matching else None
