"""Facts of an installation in which nothing is wrong, to be made worse one by one."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.servers import Address, serve
from uptimeo.doctor import facts
from uptimeo.doctor.examinations import EXAMINATIONS
from uptimeo.doctor.judging import judged
from uptimeo.domain.finding import Condition, Finding
from uptimeo.settings import Settings, read_settings
from uptimeo.storage import health, server
from uptimeo.storage.schema import HEAD

CONNINFO = "postgresql://uptimeo_agent_va@db.example/uptimeo"


def settings(**variables: str) -> Settings:
    """Those of an agent of datacenter 1."""
    given = {"DATACENTER_ID": "1", "DB_CONN_STRING": CONNINFO, "UPTIMEO_DATA_DIR": "/var/lib/u"}
    return read_settings(given | variables)


def setup(**variables: str) -> facts.Setup:
    return facts.Setup(conninfo=CONNINFO, settings=settings(**variables))


def link(**changes: Any) -> server.Link:
    sound = server.Link(
        host="192.0.2.1",
        version_number=180_006,
        version="18.6",
        encrypted=True,
        tls="TLSv1.3, TLS_AES_256_GCM_SHA384",
        sslmode="verify-full",
    )
    return replace(sound, **changes)


def lease(**changes: Any) -> health.Leadership:
    sound = health.Leadership(
        datacenter="VA", datacenter_id=1, leader="agent-a", term=3, left_s=2.5
    )
    return replace(sound, **changes)


def agent(**changes: Any) -> health.AgentSeen:
    sound = health.AgentSeen(
        datacenter="VA",
        name="agent-a",
        datacenter_id=1,
        silent_s=2.0,
        runs_s=3600.0,
        version="1",
        waiting=0,
        dropped=0,
        peers_heard=1,
        can_be_asked=True,
    )
    return replace(sound, **changes)


def vacuuming(**changes: Any) -> server.Vacuuming:
    sound = server.Vacuuming(
        runs=True,
        freeze_at=200_000_000,
        database_age=150_000_000,
        oldest="heartbeats_20260301",
        table_age=90_000_000,
        without=None,
    )
    return replace(sound, **changes)


def role(**changes: Any) -> server.RoleFound:
    sound = server.RoleFound(
        name="uptimeo_agent_va", superuser=False, owner=False, agent=True, datacenter=1
    )
    return replace(sound, **changes)


def database(**changes: Any) -> facts.DatabaseFacts:
    sound = facts.DatabaseFacts(
        link=link(),
        clock=server.ClockReading(offset_s=0.004, uncertain_s=0.001),
        notices=True,
        schema=server.SchemaFound(revision=HEAD, digest="d", expected_digest="d"),
        role=role(),
        datacenters=[health.Datacenter(id=1, code="VA")],
        assigned=[health.Assigned(type="http", number=3)],
        rows=facts.RowsHere(rows=3, references=1, faults={}),
        bad_rows=[],
        leaders=[
            lease(datacenter="maintenance", datacenter_id=0, leader="agent-b"),
            lease(),
        ],
        overlaps=0,
        agents=[agent(), agent(name="agent-b")],
        days_ahead=[health.DaysAhead(parent="heartbeats", days_ahead=7)],
        hold=None,
        overdue=[],
        detached=[],
        rollups=health.RollupLag(behind_s=90.0, marked=0),
        wrong_figures=[],
        set_aside=[],
        unusual=[],
        receiving=health.Receiving(listening=1, monitors=1),
        mighty=[],
        vacuuming=vacuuming(),
        transactions=server.LongTransactions(found=(), complete=True),
        slots=[],
    )
    return replace(sound, **changes)


def spool(**changes: Any) -> facts.SpoolFacts:
    sound = facts.SpoolFacts(
        directory=Path("/var/lib/u/spool"),
        exists=True,
        owner=1000,
        me=1000,
        error="",
        sync_ms=2.0,
        file_system="ext4",
        free_bytes=50_000_000_000,
        free_files=1_000_000,
        spool_bytes=4096,
        asides=0,
    )
    return replace(sound, **changes)


def host(**changes: Any) -> facts.HostFacts:
    sound = facts.HostFacts(
        process=facts.Process(
            pid=7, user=1000, groups=frozenset({1000}), raw_sockets=False, open_files=4096
        ),
        open_files=4096,
        ping=facts.PingRights(datagram=True, raw=False, group_range="0 2147483647"),
        spool=spool(),
        nameservers=(facts.Nameserver(address="192.0.2.53", after_ms=1.0),),
        ready=facts.OpsAnswer(200, "{}"),
        exec_file="",
    )
    return replace(sound, **changes)


def sound(
    setup_: facts.Setup | None = None,
    database_: facts.DatabaseFacts | None = None,
    host_: facts.HostFacts | None = None,
) -> facts.Facts:
    """All is well, but for what is given."""
    return facts.Facts(
        setup=setup_ or setup(), database=database_ or database(), host=host_ or host()
    )


def of(examination: str, findings: Iterable[Finding]) -> list[Finding]:
    """Those of one examination."""
    return [finding for finding in findings if finding.examination == examination]


def bad(findings: Iterable[Finding]) -> dict[str, Condition]:
    """What needs attention: condition by examination, the last of each."""
    wrong = (Condition.WARNING, Condition.CRITICAL)
    return {f.examination: f.condition for f in findings if f.condition in wrong}


def found(given: facts.Facts) -> list[Finding]:
    """The findings, each of which has to be documented, and have advice if it is bad."""
    findings = judged(given)
    for finding in findings:
        known = EXAMINATIONS[finding.examination]
        assert finding.value, finding
        if finding.condition is Condition.WARNING:
            assert known.warning, finding
        if finding.condition is Condition.CRITICAL:
            assert known.critical, finding
        if finding.examination in bad([finding]):
            assert finding.advice, finding
    return findings


@asynccontextmanager
async def stalling(socket: str, after_bytes: int) -> AsyncIterator[Address]:
    """A relay to a PostgreSQL's socket that stops to move once it has answered so much."""
    left = after_bytes

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        up, down = await asyncio.open_unix_connection(socket)

        async def forth() -> None:
            while piece := await reader.read(65_536):
                down.write(piece)
                await down.drain()
            down.close()

        going = asyncio.create_task(forth())
        try:
            while piece := await up.read(65_536):
                left -= len(piece)
                if left < 0:
                    await asyncio.Event().wait()
                writer.write(piece)
                await writer.drain()
        finally:
            going.cancel()
            down.close()

    async with serve(relay) as address:
        yield address
