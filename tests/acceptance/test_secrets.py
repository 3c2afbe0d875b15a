"""A secret from the command line to a target that sends it back: where else is it?"""

import asyncio
from pathlib import Path

from tests.acceptance.test_agent import add
from tests.support.agents import PATIENCE_S, output, running
from tests.support.commands import ran
from tests.support.servers import response, serve
from uptimeo.cli.secret import secret
from uptimeo.storage.database import Connection, one

FIRST, SECOND = "the-first-value", "the-second-value"
_ALL_TEXT = """
SELECT (SELECT string_agg(h::text, ' ') FROM api_heartbeats h)
    || (SELECT string_agg(e::text, ' ') FROM heartbeat_evidence e)
    || (SELECT string_agg(s::text, ' ') FROM secrets s)
    || (SELECT string_agg(m::text, ' ') FROM api_monitors m)
"""


async def save(value: str, environment: dict[str, str]) -> None:
    """`uptimeo secret set`, with the value on stdin."""
    done = await asyncio.to_thread(
        ran, secret, "set", "api", dsn=environment["DB_CONN_STRING"], stdin=value, **environment
    )
    assert done.exit_code == 0, done.output


async def test_a_new_value_reaches_the_target_without_a_restart_and_is_nowhere_else(
    environment: dict[str, str],
    as_writer: dict[str, str],
    connection: Connection,
    tmp_path: Path,
) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read(65536)
        received.put_nowait(request)
        key = request.partition(b"X-Api-Key: ")[2].partition(b"\r\n")[0]
        writer.write(response("500 Oops", f"X-Echo: {key.decode()}", body=b"got " + request))

    async def until(value: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while f"X-Api-Key: {value}\r\n".encode() not in await received.get():
                pass

    keys = {"UPTIMEO_KEY_FILE": str(tmp_path / "keys")}
    (tmp_path / "db").write_text(environment["DB_CONN_STRING"])
    of_agent = {**environment, **keys, "DB_CONN_STRING_FILE": str(tmp_path / "db")}
    del of_agent["DB_CONN_STRING"]
    assert (await output("secret", "keygen", **keys))[0] == 0
    await save(FIRST, as_writer | keys)
    async with serve(echo) as address:
        await add(connection, "shop", address.url("/"), headers={"X-Api-Key": "{{secret:api}}"})
        async with running("agent", **of_agent) as agent:
            await until(FIRST)
            await save(SECOND, as_writer | keys)
            await until(SECOND)
            await agent.event("check_failed")
        lines = repr(agent.lines)

    stored = await one(connection, _ALL_TEXT)
    on_disk = [file.read_bytes() for file in (tmp_path / "agent").rglob("*") if file.is_file()]
    assert "X-Echo" in stored
    assert "{{secret:api}}" in stored
    assert on_disk
    for value in (FIRST, SECOND):
        assert value not in stored
        assert value not in lines
        assert not any(value.encode() in content for content in on_disk)


async def test_a_key_file_that_others_may_read_refuses_the_start(
    environment: dict[str, str], tmp_path: Path
) -> None:
    keys = {"UPTIMEO_KEY_FILE": str(tmp_path / "keys")}
    await output("secret", "keygen", **keys)
    (tmp_path / "keys").chmod(0o644)

    async with running("agent", **environment, **keys) as agent:
        refused = await agent.event("start_refused")

        assert await agent.ended() == 2

    assert "chmod 600" in refused["message"]
