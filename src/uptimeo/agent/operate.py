"""What does a running agent tell of itself to those who operate it? Joins the ops endpoints."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from functools import partial

from uptimeo.agent.build import Agent
from uptimeo.calibration.measure import calibrated
from uptimeo.domain.presence import SpoolState
from uptimeo.ops.app import make_app
from uptimeo.ops.calibrating import SelfCalibration
from uptimeo.ops.endpoint import BOUNDS, OpsEndpoint
from uptimeo.ops.exposition import Exposition
from uptimeo.ops.facts import AgentFacts, LoopFacts
from uptimeo.ops.metrics import Accounts, OwnMetrics
from uptimeo.ops.modules import read_modules
from uptimeo.ops.probing import Prober
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.serving import Server
from uptimeo.settings import Settings
from uptimeo.telemetry import Log

_SPOOL_EVERY_S = 5.0
# Beyond the length of a lease, within which even a leader at rest asks the database.
_PATIENCE_S = 2.0


@dataclass(slots=True, kw_only=True)
class Vitals:
    """Looks at the parts of an agent. What waits in the spool is looked up every five seconds."""

    agent: Agent
    patience_s: float
    loops: Mapping[str, "asyncio.Future[None]"] = field(default_factory=dict)
    spool: SpoolState = field(default_factory=lambda: SpoolState(rows=0, bytes=0, dropped=0))

    async def run(self) -> None:
        """Look at the spool for ever."""
        while True:
            self.spool = await self.agent.writer.state()
            await asyncio.sleep(_SPOOL_EVERY_S)

    def facts(self) -> AgentFacts:
        """How the agent is now."""
        agent, election, lag = self.agent, self.agent.election, self.agent.attempts.lag
        return AgentFacts(
            now=agent.clock.now(),
            leads=election.term() is not None,
            may_check=election.permit() is not None,
            newest_term=election.newest_term(),
            database_ago_s=election.answered_ago_s(),
            patience_s=self.patience_s,
            spool=self.spool,
            spool_sound=agent.writer.sound,
            catalog=agent.watcher.state(),
            loop=LoopFacts(
                p99_ms=lag.p99_ms(),
                worst_ms=lag.worst_ms(),
                stalls=lag.stalls,
                overdue_s=lag.overdue_s(),
            ),
            in_flight=agent.scheduler.in_flight(),
            days_ahead=agent.upkeep.days_ahead(),
            retention_held=agent.upkeep.retention_held(),
            unusual=agent.upkeep.unusual_heartbeats(),
            ended=tuple(name for name, loop in self.loops.items() if loop.done()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The loops that answer those who operate the agent."""

    vitals: Vitals
    endpoint: OpsEndpoint
    calibration: SelfCalibration | None

    def loops(self) -> dict[str, Awaitable[None]]:
        """By name; none of them is one that checks need."""
        loops: dict[str, Awaitable[None]] = {
            "vitals": self.vitals.run(),
            "ops": self.endpoint.run(),
        }
        if self.calibration is not None:
            loops["calibration"] = self.calibration.run()
        return loops


def vitals_of(settings: Settings, agent: Agent) -> Vitals:
    """What looks at that agent, for whoever asks."""
    return Vitals(agent=agent, patience_s=settings.lease_ttl_s + _PATIENCE_S)


def operate(settings: Settings, agent: Agent, vitals: Vitals, log: Log) -> Operation | None:
    """Join them; None if nobody may ask."""
    if (address := settings.ops_address()) is None:
        return None
    calibration = _calibration(settings, agent.registry, log)
    accounts = Accounts(results=agent.results, flushes=agent.flushes, calibration=calibration)
    exposition = Exposition(
        facts=vitals.facts,
        term=agent.election.term,
        own=OwnMetrics(agent.results.fixed, accounts),
        results=agent.results,
    )
    app = make_app(vitals.facts, exposition, _prober(settings, agent))
    return Operation(
        vitals=vitals,
        endpoint=OpsEndpoint(address, lambda: Server(app, BOUNDS), log),
        calibration=calibration,
    )


def _prober(settings: Settings, agent: Agent) -> Prober | None:
    if settings.probe_file is None:
        return None
    modules = read_modules(settings.probe_file, agent.registry)
    return Prober(modules, agent.registry, agent.attempts)


def _calibration(settings: Settings, registry: ProbeRegistry, log: Log) -> SelfCalibration | None:
    probe = registry.get("https")
    if probe is None or not settings.calibrate_every_s:
        return None
    return SelfCalibration(
        measure=partial(calibrated, probe), every_s=settings.calibrate_every_s, log=log
    )
