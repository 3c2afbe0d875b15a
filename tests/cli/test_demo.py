"""Is there something to watch for agents on other hosts, and do monitors watch it?"""

import asyncio
import signal
import socket
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest

from tests.support.agents import COMMAND
from tests.support.commands import ran, said
from uptimeo.cli.demo import demo

ROWS = "SELECT id, name, url, enabled FROM api_monitors ORDER BY id"


async def asked(url: str) -> int:
    def ask() -> int:
        try:
            with urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    return await asyncio.to_thread(ask)


async def test_the_target_answers_until_it_is_told_to_terminate() -> None:
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *("demo", "target", "--port", "0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        url = (await process.stdout.readline()).decode().split()[-1]

    answers = [await asked(f"{url}/{page}") for page in ("fast", "failing", "nothing")]
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(20):
        code = await process.wait()

    assert url.startswith("http://127.0.0.1:")
    assert answers == [200, 500, 404]
    assert code == 0


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]

        result = ran(demo, "target", "--port", str(port))

    assert str(result.exception).startswith(f"the demo target cannot listen on 127.0.0.1:{port}: ")


def test_its_monitors_are_installed_once_however_often(conninfo: str) -> None:
    first = said(demo, "monitors", "http://demo:8080", dsn=conninfo)
    said(demo, "monitors", "http://other:8081/", dsn=conninfo)

    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(ROWS).fetchall()
        places = connection.execute("SELECT count(*) FROM datacenter_monitors").fetchone()
    assert first == f"{len(rows)} monitors watch http://demo:8080 from every datacenter\n"
    assert [key for key, *_ in rows] == list(range(1, len(rows) + 1))
    urls = {url for _, name, url, _ in rows if name != "demo: unknown name"}
    assert all(url.startswith("http://other:8081/") and "//" not in url[7:] for url in urls)
    assert all(enabled for *_, enabled in rows)
    assert places == (0,)


@pytest.mark.parametrize(
    "url",
    [
        "demo:8080",
        "https://demo:8080",
        "http://demo:8080/fast",
        "http://demo:8080/?x=1",
        "http://demo:99999",
        "http://[x",
        "http://",
    ],
)
def test_what_is_no_address_of_a_target_is_refused(url: str, conninfo: str) -> None:
    result = ran(demo, "monitors", url, dsn=conninfo)

    assert result.exit_code == 2
    assert f"{url!r} is not like http://demo:8080" in result.stderr
