"""The tables of `docs/metrics.md`, made of what an agent really writes."""

import re
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from tests.support.builders import NOON, heartbeat, monitor, result
from tests.support.fakes import LogBook
from tests.support.ops import FIXED, answered, facts, own_metrics
from uptimeo.calibration.measure import PHASES, Calibration, PhaseError, Plan
from uptimeo.domain.presence import SpoolState
from uptimeo.domain.result import Phases
from uptimeo.ops.calibrating import SelfCalibration
from uptimeo.ops.probe_metrics import FAMILIES
from uptimeo.ops.results import Results
from uptimeo.ops.series import pieces

_ON_ALL = {"datacenter", "agent"}
_ON_MONITORS = {"monitor_id", "monitor", "type"}
_ALL_PHASES = Phases(redirect=1, dns=1, connect=1, tls=1, send=1, wait=1, transfer=1)


def results() -> Results:
    """Those of a monitor of each type that has metrics of its own."""
    found = Results(FIXED)
    monitors = [monitor(number, type=kind) for number, kind in enumerate(("https", "ping", "dns"))]
    found.keep(monitors)
    for each in monitors:
        outcome = (
            answered(phases=_ALL_PHASES)
            if each.type == "https"
            else result(phases=_ALL_PHASES, resolved_ip="192.0.2.1")
        )
        found.take(heartbeat(monitor=each, result=outcome))
    return found


def of_monitors() -> str:
    """The text of what each monitor has."""
    return "".join(pieces(FAMILIES, results().shown(1)))


def of_the_agent(calibration: SelfCalibration) -> str:
    """The text of what the agent has of its own."""
    spool = SpoolState(rows=1, bytes=1, dropped=1, oldest_at=NOON)
    return own_metrics(results(), calibration).text(
        facts(spool=spool, unusual={("LON", "not due there and then"): 1})
    )


async def calibrated() -> SelfCalibration:
    """One that has measured once."""
    error = {"mean_ms": 1.0, "p50_ms": 1.0, "p99_ms": 1.0, "max_ms": 1.0}
    errors = tuple(PhaseError(phase=phase, **error) for phase in PHASES)

    async def measure(plan: Plan) -> Calibration:
        return Calibration(checks=plan.checks, errors=errors)

    found = SelfCalibration(measure=measure, every_s=1, log=LogBook().log)
    await found.attempt()
    return found


def rows(text: str) -> Iterator[str]:
    """A row of a table for each metric, in order: name, type, labels, meaning."""
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        seen = {label for sample in family.samples for label in sample.labels}
        labels = sorted(seen - _ON_ALL - _ON_MONITORS - {"le"})
        shown = ", ".join(f"`{label}`" for label in labels)
        yield f"| `{name}` | {family.type} | {shown} | {family.documentation} |"


def documented(page: str) -> list[str]:
    """The rows of the page that describe a metric."""
    return re.findall(r"^\| `(?:uptimeo|probe|process)_.*\|$", page, re.MULTILINE)
