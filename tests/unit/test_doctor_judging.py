"""What the doctor makes of facts: no finding without a cause, and none without advice."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.builders import hold
from tests.support.doctor import (
    agent,
    bad,
    database,
    found,
    host,
    lease,
    link,
    of,
    role,
    settings,
    setup,
    sound,
    spool,
    vacuuming,
)
from uptimeo.doctor import facts
from uptimeo.doctor.examinations import EXAMINATIONS
from uptimeo.domain.finding import Condition, worst
from uptimeo.storage import health, server
from uptimeo.storage.schema import HEAD

WARNING, CRITICAL = Condition.WARNING, Condition.CRITICAL
OPEN = server.LongTransaction(
    pid=9, role="ann", program="psql", state="idle in transaction", for_s=7200
)
SLOT = server.Slot(name="replica", active=True, wal_status="reserved", xid_age=0, kept_bytes=10_000)
UPKEEP = lease(datacenter="maintenance", datacenter_id=0)
ODD = health.OddHeartbeats(
    datacenter="VA", kind="odd", number=2, last_at=datetime(2026, 3, 1, tzinfo=UTC)
)


def test_a_sound_installation_is_all_right_and_every_check_says_so() -> None:
    findings = found(
        sound(setup(UPTIMEO_EXEC_FILE="/etc/commands.toml"), host_=host(exec_file="2"))
    )

    assert {f.condition for f in findings} == {Condition.OK}
    assert {f.examination for f in findings} == set(EXAMINATIONS)
    assert worst(findings) is Condition.OK


@pytest.mark.parametrize(
    ("changes", "examination", "condition"),
    [
        ({"link": link(version_number=160_004)}, "server-version", CRITICAL),
        ({"link": link(encrypted=False, tls=None)}, "tls", WARNING),
        ({"clock": server.ClockReading(offset_s=-3, uncertain_s=0.1)}, "clock", WARNING),
        ({"notices": False}, "notifications", WARNING),
        ({"role": role(superuser=True, owner=True)}, "role", WARNING),
        ({"role": role(owner=True, datacenter=None)}, "role", WARNING),
        ({"role": role(datacenter=None)}, "role", CRITICAL),
        ({"role": role(datacenter=2)}, "role", CRITICAL),
        ({"datacenters": [health.Datacenter(id=2, code="NY")]}, "datacenter", CRITICAL),
        ({"assigned": []}, "monitors", WARNING),
        (
            {"rows": facts.RowsHere(rows=1, references=1, faults={"4 (m)": "url: odd"})},
            "rows",
            WARNING,
        ),
        ({"bad_rows": [health.BadRow(id=4, name="m", reason="odd")]}, "config-errors", WARNING),
        (
            {"leaders": [UPKEEP, lease(leader=None, left_s=float("-inf"))]},
            "leader",
            CRITICAL,
        ),
        ({"leaders": [UPKEEP, lease(left_s=-60)]}, "leader", CRITICAL),
        ({"overlaps": 1}, "overlaps", CRITICAL),
        ({"agents": [agent(silent_s=90)]}, "agents", WARNING),
        ({"agents": [agent(dropped=5)]}, "agents", WARNING),
        ({"agents": [agent(), agent(name="b", peers_heard=0)]}, "peers", WARNING),
        ({"receiving": health.Receiving(listening=0, monitors=2)}, "receivers", CRITICAL),
        ({"leaders": [lease()]}, "maintenance", WARNING),
        (
            {"days_ahead": [health.DaysAhead(parent="heartbeats", days_ahead=2)]},
            "partitions",
            CRITICAL,
        ),
        (
            {"days_ahead": [health.DaysAhead(parent="heartbeats", days_ahead=-1)]},
            "partitions",
            CRITICAL,
        ),
        ({"hold": hold()}, "retention-clock", WARNING),
        ({"hold": hold(still=None)}, "retention-clock", CRITICAL),
        ({"overdue": ["heartbeats_20200101"]}, "retention", WARNING),
        ({"detached": ["heartbeats_20200101"]}, "detached", WARNING),
        ({"rollups": health.RollupLag(behind_s=4000, marked=3)}, "rollups", WARNING),
        (
            {
                "wrong_figures": [
                    health.WrongFigure(
                        level=5,
                        datacenter_id=1,
                        bucket=datetime(2026, 3, 1, tzinfo=UTC),
                        monitor_id=4,
                        what="checks",
                        raw="5",
                        rolled="6",
                    )
                ]
            },
            "rollups-agree",
            CRITICAL,
        ),
        ({"set_aside": [ODD]}, "set-aside", WARNING),
        ({"unusual": [ODD]}, "unusual", WARNING),
        ({"mighty": [health.MightyRole(name="r", rights="is a superuser")]}, "roles", WARNING),
        ({"vacuuming": vacuuming(runs=False)}, "vacuum", CRITICAL),
        ({"vacuuming": vacuuming(without="heartbeats_20260301")}, "vacuum", WARNING),
        ({"vacuuming": vacuuming(table_age=400_000_000)}, "vacuum", WARNING),
        ({"vacuuming": vacuuming(database_age=1_500_000_000)}, "vacuum", CRITICAL),
        (
            {"transactions": server.LongTransactions(found=(OPEN,), complete=True)},
            "transactions",
            WARNING,
        ),
        ({"slots": [replace(SLOT, active=False)]}, "slots", WARNING),
        ({"slots": [replace(SLOT, wal_status="lost")]}, "slots", WARNING),
        ({"slots": [replace(SLOT, kept_bytes=20_000_000_000)]}, "slots", WARNING),
        ({"slots": [replace(SLOT, xid_age=20_000_000)]}, "slots", WARNING),
        ({"stopped": "the database stopped answering"}, "database", CRITICAL),
    ],
)
def test_one_thing_that_is_wrong_with_the_database_is_one_finding(
    changes: dict[str, object], examination: str, condition: Condition
) -> None:
    assert bad(found(sound(database_=database(**changes)))) == {examination: condition}


@pytest.mark.parametrize(
    ("changes", "examination", "condition"),
    [
        ({"process": None}, "process", WARNING),
        ({"ready": facts.OpsAnswer(None, "refused")}, "ready", WARNING),
        ({"ready": facts.OpsAnswer(503, '{"ready": false}')}, "ready", CRITICAL),
        ({"spool": spool(error="Permission denied")}, "spool", CRITICAL),
        ({"spool": spool(sync_ms=900)}, "spool", WARNING),
        ({"spool": spool(asides=1)}, "spool", WARNING),
        ({"spool": spool(file_system="tmpfs")}, "file-system", WARNING),
        ({"spool": spool(file_system="overlay")}, "file-system", WARNING),
        ({"spool": spool(file_system="nfs4")}, "file-system", CRITICAL),
        ({"spool": spool(free_bytes=1_000_000_000)}, "disk", WARNING),
        ({"spool": spool(free_bytes=1_000_000)}, "disk", CRITICAL),
        ({"spool": spool(free_files=10)}, "disk", CRITICAL),
        ({"open_files": 256}, "open-files", WARNING),
        ({"nameservers": ()}, "resolver", WARNING),
        (
            {"nameservers": (facts.Nameserver(address="192.0.2.53", after_ms=None),)},
            "resolver",
            CRITICAL,
        ),
        (
            {
                "nameservers": (
                    facts.Nameserver(address="192.0.2.53", after_ms=None),
                    facts.Nameserver(address="192.0.2.54", after_ms=2.0),
                )
            },
            "resolver",
            WARNING,
        ),
    ],
)
def test_one_thing_that_is_wrong_with_the_host_is_one_finding(
    changes: dict[str, object], examination: str, condition: Condition
) -> None:
    assert bad(found(sound(host_=host(**changes)))) == {examination: condition}


@pytest.mark.parametrize(
    ("assigned", "condition"),
    [
        ([health.Assigned(type="http", number=1)], None),
        ([health.Assigned(type="ping", number=1)], CRITICAL),
        ([health.Assigned(type="icmp", number=1)], CRITICAL),
        (facts.Unseen("may not"), WARNING),
    ],
)
def test_a_right_to_ping_is_missed_only_where_a_monitor_pings(
    assigned: object, condition: Condition | None
) -> None:
    refused = facts.PingRights(datagram=False, raw=False, group_range="1 0")
    findings = found(sound(database_=database(assigned=assigned), host_=host(ping=refused)))

    assert bad(findings).get("ping") is condition


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"revision": None, "digest": None}, "no UptimeO schema"),
        ({"revision": "0001"}, f"works with {HEAD}"),
        ({"revision": "9999"}, "works with"),
        ({"digest": "other"}, "of another release"),
    ],
)
def test_a_schema_of_another_release_is_critical(changes: dict[str, str], words: str) -> None:
    ours = server.SchemaFound(revision=HEAD, digest="d", expected_digest="d")
    (finding,) = of("schema", found(sound(database_=database(schema=replace(ours, **changes)))))

    assert finding.condition is CRITICAL
    assert words in finding.value
    assert finding.advice


@pytest.mark.parametrize("trouble", list(facts.Trouble))
def test_without_a_connection_nothing_is_said_of_what_is_in_the_database(
    trouble: facts.Trouble,
) -> None:
    away = database(link=facts.Unreached(trouble, "it did not work"))
    findings = found(sound(database_=away))

    assert bad(findings) == {"database": CRITICAL}
    assert of("partitions", findings) == of("schema", findings) == []
    assert of("spool", findings)


def test_what_was_not_seen_is_unknown_with_the_reason_and_counts_for_nothing() -> None:
    hidden = facts.Unseen("somebody may not see it")
    findings = found(sound(database_=database(leaders=hidden, agents=hidden, rollups=hidden)))

    unknown = [f for f in findings if f.condition is Condition.UNKNOWN]
    assert {f.examination for f in unknown} == {
        "leader",
        "maintenance",
        "agents",
        "peers",
        "rollups",
    }
    assert {f.value for f in unknown} == {"somebody may not see it"}
    assert worst(findings) is Condition.OK


def test_an_encrypted_link_that_is_not_verified_is_told_but_is_no_fault() -> None:
    (finding,) = of("tls", found(sound(database_=database(link=link(sslmode="prefer")))))

    assert finding.condition is Condition.OK
    assert "not verified (sslmode=prefer)" in finding.value
    assert "verify-full" in finding.advice


@pytest.mark.parametrize("near", ["127.0.0.1", "::1", "/run/postgresql", None, "localhost"])
def test_a_server_on_this_host_needs_no_tls(near: str | None) -> None:
    here = link(host=near, encrypted=False, tls=None)

    assert bad(found(sound(database_=database(link=here)))) == {}


def test_the_owner_of_a_one_machine_installation_may_run_its_agent() -> None:
    local = replace(setup(), local=True)
    mighty = database(role=role(superuser=True, owner=True))

    assert bad(found(sound(local, mighty))) == {}


def test_a_clock_is_not_blamed_for_a_slow_way_to_the_database() -> None:
    slow = database(clock=server.ClockReading(offset_s=1.4, uncertain_s=0.6))

    assert bad(found(sound(database_=slow))) == {}


def test_a_datacenter_where_no_agent_runs_lacks_no_leader() -> None:
    leaders = [UPKEEP, lease(), lease(datacenter="NY", datacenter_id=2, leader=None)]

    assert bad(found(sound(database_=database(leaders=leaders)))) == {}


def test_a_takeover_is_no_lack_of_a_leader() -> None:
    leaders = [UPKEEP, lease(left_s=-4)]

    assert bad(found(sound(database_=database(leaders=leaders)))) == {}


def test_without_a_datacenter_the_host_is_left_out_and_the_installation_examined() -> None:
    person = facts.Facts(
        setup=facts.Setup(conninfo="host=db.example"), database=database(), host=None
    )
    names = {f.examination for f in found(person)}

    assert not names & {"spool", "ping", "datacenter", "monitors", "rows"}
    assert names >= {"leader", "partitions", "rollups"}


def test_another_user_says_nothing_of_the_spool() -> None:
    (finding,) = of("spool", found(sound(host_=host(spool=spool(owner=7, error="denied")))))

    assert finding.condition is Condition.UNKNOWN
    assert "sudo -E -u '#7'" in finding.advice


def test_an_endpoint_beyond_loopback_is_noted() -> None:
    open_ = setup(UPTIMEO_OPS_LISTEN="0.0.0.0:9464")
    (finding,) = of("ops", found(sound(open_)))

    assert finding.condition is Condition.OK
    assert "without a login" in finding.value
    assert finding.advice


def test_peers_that_are_switched_off_are_a_warning() -> None:
    assert bad(found(sound(setup(UPTIMEO_PEER_LISTEN="off")))) == {"peers": WARNING}


def test_a_file_of_commands_that_cannot_be_used_is_a_warning() -> None:
    given = setup(UPTIMEO_EXEC_FILE="/etc/commands.toml")
    findings = found(sound(given, host_=host(exec_file=facts.Unseen("it is no file"))))

    assert bad(findings) == {"exec-file": WARNING}


def test_settings_that_are_wrong_are_told_and_the_host_is_left_out() -> None:
    wrong = facts.Setup(conninfo="host=db.example", complaint="DATACENTER_ID: 'x' is wrong")
    findings = found(facts.Facts(setup=wrong, database=database(), host=None))

    assert bad(findings) == {"settings": CRITICAL}


def test_no_password_is_told() -> None:
    secret = facts.Setup(conninfo="postgresql://u:geheim@db.example/uptimeo", settings=settings())

    assert "geheim" not in str(found(sound(secret)))
