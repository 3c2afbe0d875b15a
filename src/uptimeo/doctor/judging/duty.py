"""Do agents check what they should, and does somebody lead? Pure."""

from collections.abc import Iterator, Mapping

from uptimeo.doctor.facts import Facts, RowsHere, Seen, Unseen
from uptimeo.doctor.judging.words import Subject, some, span
from uptimeo.domain.finding import Finding
from uptimeo.settings import Settings
from uptimeo.storage.health import (
    AgentSeen,
    Assigned,
    BadRow,
    Datacenter,
    Leadership,
    Receiving,
)

_SILENT_S = 30
# An agent that is stopped in order takes its row away; one that vanished leaves it for a month.
_GONE_S = 86_400
# A takeover takes a lease and half a second.
_LEADERLESS_S = 10
_MAINTENANCE = 0
_MAINTENANCE_LATE_S = 60
_TO_TAKE_OVER_S = 120


def findings(facts: Facts) -> Iterator[Finding]:
    """All that is about the checks of the installation."""
    database, settings = facts.database, facts.setup.settings
    if settings is not None:
        place = settings.datacenter_id
        yield from Subject("datacenter").judged(
            database.datacenters, lambda found: _datacenter(found, place)
        )
        yield from Subject("monitors").judged(database.assigned, _assigned)
        yield from Subject("rows").judged(database.rows, _rows)
    yield from Subject("config-errors").judged(database.bad_rows, _bad_rows)
    yield from Subject("leader").judged(
        database.leaders, lambda found: _leaders(found, database.agents, settings)
    )
    yield from Subject("overlaps").judged(database.overlaps, _overlaps)
    yield from Subject("agents").judged(database.agents, _agents)
    yield from Subject("peers").judged(database.agents, lambda found: _peers(found, settings))
    yield from Subject("receivers").judged(database.receiving, _receivers)
    yield from Subject("maintenance").judged(
        database.leaders, lambda found: _maintenance(found, database.agents)
    )


def _datacenter(found: list[Datacenter], wanted: int) -> Iterator[Finding]:
    subject = Subject("datacenter")
    code = next((each.code for each in found if each.id == wanted), None)
    if code is not None:
        yield subject.ok(f"{wanted} is {code}")
        return
    known = some([f"{each.id} {each.code}" for each in found], most=20)
    yield subject.critical(
        f"there is no datacenter {wanted}; known are: {known or 'none'}",
        "correct DATACENTER_ID, or add the row to the table datacenters",
    )


def _assigned(found: list[Assigned]) -> Iterator[Finding]:
    subject = Subject("monitors")
    if not found:
        yield subject.warning(
            "none is assigned to the datacenter and enabled: nothing is checked",
            "see `uptimeo monitor list`, the tables api_monitors and datacenter_monitors",
        )
        return
    types = ", ".join(f"{each.number} {each.type}" for each in found)
    yield subject.ok(f"{sum(each.number for each in found)} assigned and enabled: {types}")


def _rows(found: RowsHere) -> Iterator[Finding]:
    subject = Subject("rows")
    advice = (
        "correct the row, or this host's settings: docs/secrets.md. If the agent has other"
        " variables than this shell, run this with the agent's"
    )
    for name, fault in found.faults.items():
        yield subject.warning(fault, advice, f"monitor {name}")
    if not found.faults:
        yield subject.ok(
            f"{found.rows} can be used, {found.references} references resolved", what=""
        )


def _bad_rows(found: list[BadRow]) -> Iterator[Finding]:
    subject = Subject("config-errors")
    for row in found:
        yield subject.warning(
            row.reason, "correct the row; agents notice", f"monitor {row.id} ({row.name})"
        )
    if not found:
        yield subject.ok("agents could use every enabled row")


def _leaders(
    found: list[Leadership], agents: Seen[list[AgentSeen]], settings: Settings | None
) -> Iterator[Finding]:
    own = None if settings is None else settings.datacenter_id
    manned = None if isinstance(agents, Unseen) else {each.datacenter_id for each in agents}
    for lease in found:
        if lease.datacenter_id == _MAINTENANCE:
            continue
        subject = Subject("leader", f"leader of {lease.datacenter}")
        if lease.leader is not None and lease.left_s >= 0:
            yield subject.ok(
                f"{lease.leader}, term {lease.term}, its lease runs {lease.left_s:.1f} s more"
            )
        elif lease.leader is not None and lease.left_s > -_LEADERLESS_S:
            yield subject.ok(f"changes: {lease.leader} led until {span(-lease.left_s)} ago")
        elif manned is not None and lease.datacenter_id not in manned:
            yield subject.ok(f"none, and no agent runs there; last term {lease.term}")
        elif manned is None and lease.datacenter_id != own:
            yield subject.unknown("nobody leads; whether an agent runs there could not be seen")
        else:
            yield subject.critical(
                f"nobody leads: nothing is checked there; last term {lease.term}",
                "start an agent there, or look at the logs of those that run",
            )
    if not any(lease.datacenter_id != _MAINTENANCE for lease in found):
        yield Subject("leader").ok("no agent ever led")


def _overlaps(number: int) -> Iterator[Finding]:
    subject = Subject("overlaps")
    if number:
        yield subject.critical(
            f"{number} heartbeats count that ran after their term",
            "SELECT * FROM leadership_overlaps WHERE counted; this is a bug: report it",
        )
    else:
        yield subject.ok("no heartbeat counts that ran after its term")


def _agents(found: list[AgentSeen]) -> Iterator[Finding]:
    good = [each for each in found if each.silent_s < _SILENT_S and not each.dropped]
    for each in found:
        subject = Subject("agents", f"agent {each.datacenter} {each.name}")
        if each.silent_s >= _SILENT_S:
            forget = "" if each.silent_s < _GONE_S else "; its row goes 30 days after it"
            yield subject.warning(
                f"not seen for {span(each.silent_s)}, {each.waiting} heartbeats waited",
                f"start it, or look why it does not reach the database{forget}",
            )
        if each.dropped:
            yield subject.warning(
                f"{each.dropped} heartbeats dropped since its start",
                "its disk is full or slow, or the database was away for long:"
                " docs/operations.md#heartbeats-dropped",
            )
    if good or not found:
        waiting = sum(each.waiting for each in good)
        yield Subject("agents").ok(
            f"{len(good)} report, {waiting} heartbeats wait" if found else "none runs"
        )


def _peers(found: list[AgentSeen], settings: Settings | None) -> Iterator[Finding]:
    advice = (
        "let them reach each other over UDP; UPTIMEO_PEER_LISTEN=host:port sets where."
        " Otherwise a leader cut off from the database goes on while another takes over"
    )
    bad = 0
    for each, others in _askable(found).items():
        if (each.peers_heard or 0) < others:
            bad += 1
            yield Subject("peers", f"peers of {each.datacenter} {each.name}").warning(
                f"{each.peers_heard or 0} of {others} other agents of its datacenter answer it",
                advice,
            )
    if settings is not None and settings.peer_listen == "off":
        bad += 1
        yield Subject("peers").warning("UPTIMEO_PEER_LISTEN is off on this host", advice)
    if not bad:
        yield Subject("peers").ok("agents that run side by side hear each other")


def _askable(found: list[AgentSeen]) -> Mapping[AgentSeen, int]:
    """Those that could be heard by now, and how many others each should hear."""
    running = [
        each
        for each in found
        if each.can_be_asked and each.silent_s < _SILENT_S and each.runs_s > _SILENT_S
    ]
    places = [each.datacenter_id for each in running]
    return {each: places.count(each.datacenter_id) - 1 for each in running}


def _receivers(found: Receiving) -> Iterator[Finding]:
    subject = Subject("receivers")
    if not found.monitors:
        yield subject.ok("no monitor waits for signals")
    elif found.listening:
        yield subject.ok(f"{found.listening} take signals for {found.monitors} push monitors")
    else:
        yield subject.critical(
            f"none takes signals, and {found.monitors} push monitors wait for some",
            "start `uptimeo receive`; until then these monitors are unknown",
        )


def _maintenance(found: list[Leadership], agents: Seen[list[AgentSeen]]) -> Iterator[Finding]:
    subject = Subject("maintenance")
    lease = next((each for each in found if each.datacenter_id == _MAINTENANCE), None)
    if lease is not None and lease.leader is not None and lease.left_s > -_MAINTENANCE_LATE_S:
        yield subject.ok(f"done by {lease.leader}")
        return
    # Who has just come, or went without a word, takes nothing over.
    if isinstance(agents, Unseen):
        able = any(each.leader is not None and each.left_s >= 0 for each in found)
    else:
        able = any(each.runs_s > _TO_TAKE_OVER_S and each.silent_s < _SILENT_S for each in agents)
    if able:
        yield subject.warning(
            "nobody does it: partitions are neither made nor dropped, nothing is rolled up",
            "any running agent takes it within a minute; look for maintenance_taken and"
            " chore_failed in their logs",
        )
    else:
        yield subject.ok("waits for an agent to run")
