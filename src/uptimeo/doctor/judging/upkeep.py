"""Will the database go on taking heartbeats, and does it say what they said? Pure."""

from collections.abc import Iterator
from datetime import UTC

from uptimeo.doctor.facts import DatabaseFacts, Facts
from uptimeo.doctor.judging.words import Subject, size, some, span
from uptimeo.domain.finding import Finding
from uptimeo.domain.partition import Hold
from uptimeo.storage.health import DaysAhead, MightyRole, OddHeartbeats, RollupLag, WrongFigure
from uptimeo.storage.server import LongTransactions, Slot, Vacuuming

_MIN_DAYS_AHEAD = 3
_ROLLED_LATE_S = 1800
# PostgreSQL takes no more transactions when two thousand million are not frozen.
_ALARMING_AGE = 1_000_000_000
# Autovacuum begins at `freeze_at`; what is far beyond it, it does not get done.
_LATE_FACTOR = 1.5
_MUCH_LOG = 10_000_000_000
_OLD_ROWS = 10_000_000


def findings(facts: Facts) -> Iterator[Finding]:
    """All that is about the database in the long run."""
    found = facts.database
    yield from Subject("partitions").judged(found.days_ahead, _partitions)
    yield from Subject("retention-clock").judged(found.hold, _hold)
    yield from Subject("retention").judged(found.overdue, _overdue)
    yield from Subject("detached").judged(found.detached, _detached)
    yield from _rolled(found)
    yield from Subject("set-aside").judged(found.set_aside, _set_aside)
    yield from Subject("unusual").judged(found.unusual, _unusual)
    yield from Subject("roles").judged(found.mighty, _mighty)
    yield from Subject("vacuum").judged(found.vacuuming, _vacuum)
    yield from Subject("transactions").judged(found.transactions, _transactions)
    yield from Subject("slots").judged(found.slots, _slots)


def _partitions(found: list[DaysAhead]) -> Iterator[Finding]:
    subject = Subject("partitions")
    for each in found:
        if each.days_ahead < _MIN_DAYS_AHEAD:
            yield subject.critical(
                "there is none for today: its rows are refused"
                if each.days_ahead < 0
                else f"ready for {each.days_ahead} days after today only",
                "SELECT partitions_ensure(parent) FROM partition_plans; then see why nobody"
                " maintains: docs/operations.md#partitions",
                f"partitions of {each.parent}",
            )
    least = min((each.days_ahead for each in found), default=0)
    if found and least >= _MIN_DAYS_AHEAD:
        yield subject.ok(f"{len(found)} tables have room for {least} days after today or more")


def _hold(found: Hold | None) -> Iterator[Finding]:
    subject = Subject("retention-clock")
    if found is None:
        yield subject.ok("what the database's clock says is believed")
        return
    value = (
        f"nothing is dropped: the clock said {found.clock_at.astimezone(UTC):%Y-%m-%d %H:%M}Z,"
        f" {found.ahead.days} days after the last time that was believed"
    )
    advice = "put it right; if it is right: uptimeo retention confirm TODAY"
    where = "docs/operations.md#a-clock-that-is-not-believed"
    if found.still is None:
        yield subject.critical(value, f"{advice}: {where}")
    else:
        hours = found.still.total_seconds() / 3600
        yield subject.warning(value, f"{advice}, or wait {hours:.0f} hours more: {where}")


def _overdue(names: list[str]) -> Iterator[Finding]:
    subject = Subject("retention")
    if names:
        yield subject.warning(
            f"too old and still there: {some(names)}",
            "somebody keeps the table: see transactions here, retention_delayed and chore_failed"
            " in the logs of agents",
        )
    else:
        yield subject.ok("no partition is overdue to be dropped")


def _detached(names: list[str]) -> Iterator[Finding]:
    subject = Subject("detached")
    if names:
        yield subject.warning(
            some(names), "retention leaves them alone, whatever their age: attach or DROP them"
        )
    else:
        yield subject.ok("none")


def _rolled(found: DatabaseFacts) -> Iterator[Finding]:
    yield from Subject("rollups").judged(found.rollups, _rollups)
    yield from Subject("rollups-agree").judged(found.wrong_figures, _agree)


def _rollups(found: RollupLag) -> Iterator[Finding]:
    subject = Subject("rollups")
    if found.behind_s is None:
        yield subject.ok("nothing is to be rolled up yet")
        return
    value = f"{span(found.behind_s)} behind, {found.marked} buckets to be rolled up again"
    if found.behind_s > _ROLLED_LATE_S:
        yield subject.warning(value, "agents roll up: see rollups_behind in their logs")
    else:
        yield subject.ok(value)


def _agree(found: list[WrongFigure]) -> Iterator[Finding]:
    subject = Subject("rollups-agree")
    if not found:
        yield subject.ok("with the heartbeats of ten minutes an hour ago")
        return
    first = found[0]
    yield subject.critical(
        f"{len(found)} figures differ: {first.what} of monitor {first.monitor_id}, bucket"
        f" {first.bucket.astimezone(UTC):%Y-%m-%d %H:%M}Z, is {first.rolled}, not {first.raw}",
        "SELECT * FROM rollup_differences(now() - interval '2 hours', now()); this is a bug,"
        " unless somebody changed the tables: report it",
    )


def _set_aside(found: list[OddHeartbeats]) -> Iterator[Finding]:
    subject = Subject("set-aside")
    for each in found:
        yield subject.warning(
            _told(each),
            "SELECT * FROM api_heartbeats_set_aside; delete what was looked at; it goes after 90"
            " days",
            f"set aside, {each.datacenter}",
        )
    if not found:
        yield subject.ok("none")


def _unusual(found: list[OddHeartbeats]) -> Iterator[Finding]:
    subject = Subject("unusual")
    for each in found:
        yield subject.warning(
            _told(each), "SELECT * FROM unusual_heartbeats", f"unusual, {each.datacenter}"
        )
    if not found:
        yield subject.ok("none in the last week")


def _told(odd: OddHeartbeats) -> str:
    last = odd.last_at.astimezone(UTC)
    return f"{odd.number} heartbeats, last {last:%Y-%m-%d %H:%M:%S}Z: {odd.kind}"


def _mighty(found: list[MightyRole]) -> Iterator[Finding]:
    for each in found:
        yield Subject("roles", f"role {each.name}").warning(
            each.rights, "take that from it: ALTER ROLE or REVOKE; see docs/roles.md"
        )
    if not found:
        yield Subject("roles").ok("none may do more than it should")


def _vacuum(found: Vacuuming) -> Iterator[Finding]:
    subject = Subject("vacuum")
    advice = "docs/operations.md#vacuum-and-freeze"
    age = max(found.database_age, found.table_age)
    where = f" of {found.oldest}" if found.oldest and found.table_age == age else ""
    share = f"the oldest row{where} that is not frozen is {age / 1e6:.1f} million transactions old"
    if age >= _ALARMING_AGE:
        yield subject.critical(
            f"{share}; PostgreSQL stops at 2100 million", f"VACUUM (FREEZE) now: {advice}"
        )
    elif not found.runs:
        yield subject.critical(
            "autovacuum or track_counts is off: tables bloat until PostgreSQL stops",
            f"switch both on in the server: {advice}",
        )
    elif found.without is not None:
        yield subject.warning(
            f"autovacuum is off for {found.without}",
            f"ALTER TABLE {found.without} RESET (autovacuum_enabled): {advice}",
        )
    elif age > _LATE_FACTOR * found.freeze_at:
        yield subject.warning(
            f"{share}, autovacuum begins at {found.freeze_at / 1e6:.0f} million",
            f"see what keeps it from its work: transactions and slots here, {advice}",
        )
    else:
        yield subject.ok(f"on; {share}")


def _transactions(found: LongTransactions) -> Iterator[Finding]:
    subject = Subject("transactions")
    for each in found.found:
        if each.pid:
            what, end = f"session {each.pid}", f"SELECT pg_terminate_backend({each.pid})"
        else:
            what, end = f"prepared {each.program}", f"ROLLBACK PREPARED '{each.program}'"
        program = f", {each.program}" if each.pid and each.program else ""
        yield subject.warning(
            f"open for {span(each.for_s)} ({each.state}) by {each.role}{program}:"
            " vacuum and retention wait for it",
            f"end it if nobody needs it: {end}",
            what,
        )
    if not found.complete:
        yield subject.unknown(
            "the sessions of others are seen by members of pg_read_all_stats only"
        )
    elif not found.found:
        yield subject.ok("none is open for half an hour or longer")


def _slots(found: list[Slot]) -> Iterator[Finding]:
    bad = 0
    for each in found:
        subject = Subject("slots", f"slot {each.name}")
        kept = f"keeps {size(each.kept_bytes or 0)} of write-ahead log"
        if each.wal_status in ("lost", "unreserved"):
            bad += 1
            yield subject.warning(
                f"is {each.wal_status}: its replica cannot follow any more, or soon",
                "make the replica anew, then SELECT pg_drop_replication_slot(name)",
            )
        elif not each.active or (each.kept_bytes or 0) > _MUCH_LOG:
            bad += 1
            state = "nobody uses it" if not each.active else "its replica is far behind"
            yield subject.warning(
                f"{state}, and it {kept}: the disk may fill up",
                "bring its replica back, or SELECT pg_drop_replication_slot(name)",
            )
        elif each.xid_age > _OLD_ROWS:
            bad += 1
            yield subject.warning(
                f"keeps vacuum from rows of the last {each.xid_age / 1e6:.0f} million transactions",
                "end the long query of its replica, or switch hot_standby_feedback off there",
            )
    if not bad:
        yield Subject("slots").ok(f"{len(found)} in use" if found else "there are none")
