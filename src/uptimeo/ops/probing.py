"""What comes of one target that a scraper names? As blackbox_exporter's /probe."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from uptimeo.domain.errors import InvalidMonitorError
from uptimeo.domain.heartbeat import Heartbeat, Origin
from uptimeo.domain.monitor import DatacenterId, Monitor
from uptimeo.domain.text import one_line
from uptimeo.domain.verdict import Status, judge
from uptimeo.ops.modules import Module
from uptimeo.ops.probe_metrics import FAMILIES, expiries, values
from uptimeo.ops.series import Seen, pieces
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.probes.running.attempts import Attempts

MOST_AT_A_TIME = 10
_MOST_TARGET = 2048
_MOST_MESSAGE = 500
# What the scraper needs to hear the answer before it gives up.
_OFFSET_S = 0.5
_NOBODY = Origin(datacenter_id=DatacenterId(0), agent_id=None, term=0, holder="")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status of HTTP and a text."""

    status: int
    text: str


class Prober:
    """Checks once what it is asked, with the agent's own guard, and stores nothing.

    It takes no place from the agent's checks, so only ten run at a time.
    """

    def __init__(
        self, modules: Mapping[str, Module], registry: ProbeRegistry, attempts: Attempts
    ) -> None:
        self._modules = modules
        self._registry = registry
        self._attempts = attempts
        self._running = 0

    async def probe(self, asked: Mapping[str, str], scrape_timeout: str | None) -> Answer:
        """Probe `target` as `module` says, within what the scraper waits, in seconds.

        400 for what cannot be probed. 503 if there are too many, or if the agent is at fault: then
        nothing is known of the target, and it is the scrape that fails.
        """
        name, target = asked.get("module", ""), asked.get("target", "")
        module = self._modules.get(name)
        if module is None or not target or len(target) > _MOST_TARGET:
            return Answer(400, "it takes a target, and a module of UPTIMEO_PROBE_FILE\n")
        try:
            limit_ms = _limit_ms(scrape_timeout, module.timeout_ms)
            monitor = module.monitor(name, target, self._registry)
        except (InvalidMonitorError, ValueError) as error:
            return Answer(400, f"{one_line(str(error), _MOST_MESSAGE)}\n")
        if self._running >= MOST_AT_A_TIME:
            return Answer(503, f"{MOST_AT_A_TIME} probes are under way\n")
        self._running += 1
        try:
            beat = await self._check(monitor, limit_ms)
        finally:
            self._running -= 1
        status = 503 if beat.status is Status.UNKNOWN else 200
        shown = _told(beat) if asked.get("debug") == "true" or status == 503 else ""
        return Answer(status, shown + _text(beat))

    async def _check(self, monitor: Monitor, timeout_ms: int) -> Heartbeat:
        began = datetime.now(UTC)
        attempt = await self._attempts.make(monitor, timeout_ms)
        return Heartbeat(
            monitor=monitor,
            origin=_NOBODY,
            scheduled_at=began,
            executed_at=began,
            attempts=1,
            status=judge(attempt.result, monitor.thresholds, attempt.lag.total_ms),
            result=attempt.result,
            evidence=None,
        )


def _limit_ms(scrape_timeout: str | None, module_ms: int) -> int:
    """Raises ValueError for a header that is no number of seconds."""
    if scrape_timeout is None:
        return module_ms
    given_s = float(scrape_timeout)
    if not 0 < given_s < 86_400:
        raise ValueError("X-Prometheus-Scrape-Timeout-Seconds: must be a number of seconds")
    return max(1, min(module_ms, int(max(given_s - _OFFSET_S, given_s / 2) * 1000)))


def _text(beat: Heartbeat) -> str:
    """Its metrics; without the labels of monitors the name and value alone are left."""
    found = values(beat, expiries(beat, {}))
    families = [
        each
        for each in FAMILIES
        if each.name.startswith("probe_") and found.keys() & set(each.all_keys())
    ]
    text = "".join(pieces(families, [Seen("", found)]))
    return text.replace(",}", "}").replace("{}", "")


def _told(beat: Heartbeat) -> str:
    """For a person: comments, as far as a scraper is concerned. Nothing of what a module says."""
    result = beat.result
    lines = [f"status: {beat.status.value}", f"address: {result.resolved_ip or 'none'}"]
    lines += [f"{phase.value}: {ms:.3f} ms" for phase, ms in result.phases.measured()]
    if result.failure is not None:
        error = one_line(result.failure.message, _MOST_MESSAGE)
        lines.append(f"error: {result.failure.type.value}: {error}")
    return "".join(f"# {line}\n" for line in lines)
