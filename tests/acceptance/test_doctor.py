"""`uptimeo doctor` beside a running agent, under its role; and interrupted."""

import asyncio
import json
import os
import signal
import subprocess

from tests.acceptance.test_agent import add
from tests.support.agents import COMMAND, output, running
from tests.support.servers import Address, serve
from uptimeo.storage.database import Connection

SURE = {"settings", "database", "schema", "clock", "notifications", "role", "datacenter"}
SURE |= {"monitors", "rows", "leader", "partitions", "vacuum", "slots", "process", "ready"}


async def test_beside_a_healthy_agent_it_finds_all_well_under_the_same_role(
    environment: dict[str, str], connection: Connection, target: Address
) -> None:
    await add(connection, "m", target.url("/"))
    with_ops = environment | {"UPTIMEO_OPS_LISTEN": "127.0.0.1:0"}

    async with running("agent", **with_ops) as agent:
        bound = await agent.event("ops_started")
        await agent.event("heartbeat_inserted")
        same = environment | {"UPTIMEO_OPS_LISTEN": bound["address"]}
        _, out, err = await output("doctor", "--json", **same)
        pid = agent.process.pid
    _, after, _ = await output("doctor", "--json", **same)

    found = {f["examination"]: f for f in json.loads(out)["findings"]}
    assert {check: found[check]["condition"] for check in SURE} == dict.fromkeys(SURE, "ok")
    assert found["process"]["value"].startswith(f"process {pid} ")
    assert "agent-a, term 1" in found["leader"]["value"]
    assert {f["condition"] for f in found.values()} <= {"ok", "warning", "unknown"}
    assert err == ""
    gone = {f["examination"]: f["condition"] for f in json.loads(after)["findings"]}
    assert gone["process"] == "warning"


async def test_an_interrupt_ends_it_at_once_and_quietly() -> None:
    connected = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        await asyncio.Event().wait()

    async with serve(silent) as address, asyncio.timeout(30):
        where = {
            "PATH": os.environ["PATH"],
            "DB_CONN_STRING": f"host=127.0.0.1 port={address.port}",
        }
        process = await asyncio.create_subprocess_exec(
            COMMAND, "doctor", env=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        await connected.wait()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(3):
            out, err = await process.communicate()

    assert process.returncode == 130
    # click ends the line on which a terminal shows the ^C.
    assert (out, err.strip()) == (b"", b"")
