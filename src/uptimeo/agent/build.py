"""The composition root: the only place where one stage meets the next."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import uuid4

from uptimeo.agent.start import Welcome, confirmed_ago_s, naming
from uptimeo.catalog.feed import ChangeFeed
from uptimeo.catalog.snapshot import CatalogSnapshot
from uptimeo.catalog.watcher import CatalogWatcher, Interpreter
from uptimeo.clock import ServerClock, boottime
from uptimeo.domain.heartbeat import Heartbeat
from uptimeo.domain.monitor import DatacenterId, Monitor
from uptimeo.domain.presence import Presence
from uptimeo.heartbeats.spool import Spool
from uptimeo.heartbeats.writer import HeartbeatWriter
from uptimeo.leader.election import Election
from uptimeo.leader.elector import Elector, LeaseTiming, OfflineMode, Standing
from uptimeo.leader.maintenance import MAINTENANCE_TIMING, Chore, Maintenance
from uptimeo.leader.memory import Leadership, LeadershipMemory, PeerMemory
from uptimeo.leader.news import datacenter_news, maintenance_news
from uptimeo.leader.partitions import PartitionChores
from uptimeo.leader.peers import Peers
from uptimeo.leader.presence import PresenceReporter
from uptimeo.leader.rollups import RollupChore
from uptimeo.leader.succession import Succession
from uptimeo.leader.unusual import UnusualChore
from uptimeo.ops.flushes import CountedSink
from uptimeo.ops.results import Results
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.probes.running.attempts import Attempts, Shared
from uptimeo.probes.running.lag import LoopLag
from uptimeo.probes.running.places import HostPlaces
from uptimeo.probes.running.references import References
from uptimeo.probes.running.runner import CheckRunner
from uptimeo.schedule.scheduler import Scheduler
from uptimeo.settings import Settings
from uptimeo.storage.changes import ChangeNotices
from uptimeo.storage.database import Pool, make_pool
from uptimeo.storage.heartbeats import HeartbeatStore
from uptimeo.storage.instances import InstanceStore
from uptimeo.storage.lease import MAINTENANCE, Lease, MaintenanceLease
from uptimeo.storage.monitors import MonitorStore
from uptimeo.storage.partitions import PartitionStore
from uptimeo.storage.rollups import RollupStore
from uptimeo.storage.signals import SignalStore
from uptimeo.storage.unusual import UnusualStore
from uptimeo.telemetry import Log


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What this agent does for the whole installation while it holds the lease of that."""

    election: Election
    maintenance: Maintenance
    partitions: PartitionChores
    unusual: UnusualChore

    def days_ahead(self) -> int | None:
        """For how many days after today every table has room; None: another agent knows."""
        if self.election.term() is None:
            return None
        return min(self.partitions.days_ahead.values(), default=None)

    def retention_held(self) -> bool | None:
        """Whether nothing is dropped, for want of a clock that is believed; None: another knows."""
        return None if self.election.term() is None else self.partitions.held

    def unusual_heartbeats(self) -> Mapping[tuple[str, str], int]:
        """How many there were today and yesterday, by sender and kind; empty: another knows."""
        if self.election.term() is None or self.unusual.counts is None:
            return {}
        return self.unusual.counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """The parts that run and have to be stopped."""

    pool: Pool
    references: References
    attempts: Attempts
    registry: ProbeRegistry
    lease: Lease
    notices: ChangeNotices
    election: Election
    peers: Peers
    succession: Succession
    watcher: CatalogWatcher
    scheduler: Scheduler
    writer: HeartbeatWriter
    upkeep: Upkeep
    presence: PresenceReporter
    clock: ServerClock
    results: Results
    flushes: CountedSink


def build(settings: Settings, conninfo: str, welcome: Welcome, log: Log) -> Agent:
    """Join the parts: rows -> monitors -> due checks -> results -> heartbeats -> PostgreSQL."""
    datacenter = DatacenterId(settings.datacenter_id)
    clock = ServerClock()
    registry = ProbeRegistry.installed()
    pool = make_pool(conninfo, size=4)
    store = HeartbeatStore(pool, datacenter)
    lease, election = _candidacy(settings, conninfo, welcome, clock, log)
    flushes = CountedSink(store, time.monotonic)
    writer = HeartbeatWriter(spool=_spool(settings), sink=flushes, log=log)
    results = _results(settings, welcome)
    references, shared = References(settings.references()), _shared(settings, pool)
    attempts = Attempts(registry=registry, references=references, shared=shared, log=log)
    runner = _runner(settings, attempts, election, clock, _emit(settings, writer, results), log)
    scheduler = _scheduler(settings, runner, election, clock, log)
    notices = ChangeNotices(conninfo)
    source, apply = MonitorStore(pool, datacenter), _apply(scheduler, results)
    watcher = _watcher(settings, source, notices, registry, apply, log)
    _resume(settings, welcome, watcher, log)
    peers = _peers(settings, welcome, election, log)
    board = InstanceStore(pool, datacenter, welcome.agent_id, datetime.now(UTC))
    observe = _observe(welcome, peers, election, writer, attempts.lag)
    presence = PresenceReporter(board=board, observe=observe, meet=peers.meet)
    succession = Succession(
        election=election,
        note=_note(settings, welcome, peers),
        forget=LeadershipMemory(settings.data_dir).forget,
        latest_slots=store.latest_slots,
        catch_up=scheduler.catch_up,
        announce=presence.hurry,
    )
    return Agent(
        pool=pool,
        references=references,
        attempts=attempts,
        registry=registry,
        lease=lease,
        notices=notices,
        election=election,
        peers=peers,
        succession=succession,
        watcher=watcher,
        scheduler=scheduler,
        writer=writer,
        upkeep=_upkeep(settings, pool, welcome, log),
        presence=presence,
        clock=clock,
        results=results,
        flushes=flushes,
    )


def _results(settings: Settings, welcome: Welcome) -> Results:
    return Results({"datacenter": welcome.datacenter_code, "agent": settings.instance})


def _shared(settings: Settings, pool: Pool) -> Shared:
    signals = SignalStore(pool)
    return Shared(guard=settings.guard(), signals=signals, exec_file=settings.exec_file)


def _spool(settings: Settings) -> Spool:
    return Spool(settings.spool_dir, settings.spool_max_bytes)


def _emit(
    settings: Settings, writer: HeartbeatWriter, results: Results
) -> Callable[[Heartbeat], None]:
    """Where each heartbeat goes: towards PostgreSQL first, then where scrapers, if any, see it."""
    if settings.ops_address() is None:
        return writer.put

    def emit(beat: Heartbeat) -> None:
        writer.put(beat)
        results.take(beat)

    return emit


def _apply(scheduler: Scheduler, results: Results) -> Callable[[Iterable[Monitor]], None]:
    """What follows a new set of monitors."""

    def apply(monitors: Iterable[Monitor]) -> None:
        in_force = list(monitors)
        scheduler.replace(in_force)
        results.keep(in_force)

    return apply


def _watcher(
    settings: Settings,
    source: MonitorStore,
    notices: ChangeNotices,
    registry: ProbeRegistry,
    apply: Callable[[Iterable[Monitor]], None],
    log: Log,
) -> CatalogWatcher:
    return CatalogWatcher(
        source=source,
        feed=ChangeFeed(notices=notices, poll_s=settings.config_poll_s, log=log),
        interpreter=Interpreter(registry=registry, reader=settings.values()),
        apply=apply,
        remember=CatalogSnapshot(settings.data_dir).save,
        log=log,
    )


def _runner(
    settings: Settings,
    attempts: Attempts,
    election: Election,
    clock: ServerClock,
    emit: Callable[[Heartbeat], None],
    log: Log,
) -> CheckRunner:
    return CheckRunner(
        attempts=attempts,
        places=HostPlaces(settings.max_checks_per_host),
        permit=election.permit,
        clock=clock,
        emit=emit,
        log=log,
    )


def _resume(settings: Settings, welcome: Welcome, watcher: CatalogWatcher, log: Log) -> None:
    if welcome.resumed is not None:
        seen = CatalogSnapshot(settings.data_dir).load()
        watcher.resume(seen)
        log.resumed(welcome.resumed.datacenter_id, welcome.resumed.term, len(seen.rows))


def _candidacy(
    settings: Settings, conninfo: str, welcome: Welcome, clock: ServerClock, log: Log
) -> tuple[Lease, Election]:
    datacenter = DatacenterId(settings.datacenter_id)
    with naming("UPTIMEO_LEASE_TTL_S"):
        timing = LeaseTiming.of(settings.lease_ttl_s)
    elector = Elector(timing, OfflineMode(settings.offline), uuid4, settings.offline_limit_s)
    if (term := welcome.resumed) is not None:
        elector.resume(boottime(), term.term, term.candidate, confirmed_ago_s(term))
    lease = Lease(conninfo, datacenter, settings.instance, timedelta(seconds=timing.ttl))
    election = Election(
        datacenter=datacenter,
        agent_id=welcome.agent_id,
        elector=elector,
        store=lease,
        clock=clock,
        tell=datacenter_news(log, datacenter),
    )
    return lease, election


def _upkeep(settings: Settings, pool: Pool, welcome: Welcome, log: Log) -> Upkeep:
    """Apart from the datacenter's election in everything: its answers set no clock of checks."""
    election = Election(
        datacenter=MAINTENANCE,
        agent_id=welcome.agent_id,
        elector=Elector(MAINTENANCE_TIMING, OfflineMode.STRICT, uuid4),
        store=MaintenanceLease(pool, settings.instance, timedelta(seconds=MAINTENANCE_TIMING.ttl)),
        clock=ServerClock(),
        tell=maintenance_news(log),
    )
    partitions = PartitionChores(partitions=PartitionStore(pool), log=log)
    rollups = RollupChore(rollups=RollupStore(pool), now=monotonic, log=log)
    unusual = UnusualChore(UnusualStore(pool))
    chores = [
        *partitions.chores(),
        Chore(name="rollups", every_s=15.0, run=rollups.run),
        *unusual.chores(),
    ]
    return Upkeep(
        election=election,
        maintenance=Maintenance(tenure=election, chores=chores, log=log),
        partitions=partitions,
        unusual=unusual,
    )


def _scheduler(
    settings: Settings, runner: CheckRunner, election: Election, clock: ServerClock, log: Log
) -> Scheduler:
    return Scheduler(
        datacenter=DatacenterId(settings.datacenter_id),
        runner=runner,
        permit=election.permit,
        clock=clock,
        max_running=settings.max_checks,
        log=log,
    )


def _peers(settings: Settings, welcome: Welcome, election: Election, log: Log) -> Peers:
    return Peers(
        datacenter=DatacenterId(settings.datacenter_id),
        listen=settings.peer_address(welcome.host),
        book=welcome.peers,
        candidacy=election,
        log=log,
    )


def _observe(
    welcome: Welcome, peers: Peers, election: Election, writer: HeartbeatWriter, lag: LoopLag
) -> Callable[[], Awaitable[Presence]]:
    """What the agent tells about itself."""

    async def observe() -> Presence:
        return Presence(
            term=election.term(),
            spool=await writer.state(),
            peer_address=peers.address(_host(welcome)),
            peers_heard=peers.heard(),
            loop_lag_p99_ms=lag.p99_ms(),
        )

    return observe


def _note(settings: Settings, welcome: Welcome, peers: Peers) -> Callable[[Standing], None]:
    """What keeps the term that is held, and who else is there, for a start without a database."""
    term, others = LeadershipMemory(settings.data_dir), PeerMemory(settings.data_dir)
    datacenter = DatacenterId(settings.datacenter_id)

    def note(held: Standing) -> None:
        term.note(_leadership(datacenter, welcome, held))
        if (known := peers.known()) is not None:
            others.note(_host(welcome), known)

    return note


def _host(welcome: Welcome) -> str:
    return welcome.host or "127.0.0.1"


def _leadership(datacenter: DatacenterId, welcome: Welcome, held: Standing) -> Leadership:
    return Leadership(
        datacenter_id=datacenter,
        datacenter_code=welcome.datacenter_code,
        agent_id=welcome.agent_id,
        term=held.term,
        candidate=held.candidate,
        confirmed_at=datetime.now(UTC) - timedelta(seconds=held.silent_s),
        offline=not held.confirmed,
    )
