"""Do our phases agree with `curl -w`? An agent and curl ask the same nginx.

A PostgreSQL 18 is started separately and reached over TCP with a password, as in production.
Prints the medians of both and exits with 1 if one differs by more than 2 ms.

Each curl asks twice, and the second answer counts: its first handshake has in it how OpenSSL gets
ready, 1.5 ms, which an agent did long ago. The first goes to another name of the same host, so
that nothing of it is used again: no connection, no TLS session, no address. Over loopback a
handshake lasts no longer than the limit; behind a relay that holds it, a phase that was wrong
would be seen. curl looks up no "localhost", and we do: our dns is compared with nothing.
"""

import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from statistics import median
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.support.agents import output, running
from tests.support.nginx import Nginx, is_installed, nginx
from tests.support.servers import Address, delaying_relay
from uptimeo.storage.local import LocalServer

_LIMIT_MS = 2.0
_CHECKS = 20
_ADDRESS = "127.0.77.1"  # loopback, where no other PostgreSQL listens
_PATHS = ("hello.txt", "large.bin", "slow/large.bin")
_HELD_S = 0.02
_PHASES = ("dns", "connect", "tls", "first byte", "total")
_OURS = """
SELECT dns_lookup_ms, tcp_connect_ms, tls_handshake_ms, time_to_first_byte_ms, response_time_ms
FROM api_heartbeats h JOIN api_monitors m ON m.id = h.monitor_id
WHERE m.url = %s AND h.status = 'up' ORDER BY executed_at DESC
"""


@contextmanager
def _postgres(directory: Path) -> Iterator[str]:
    """A server on loopback, and a connection string with a password."""
    server = LocalServer(directory, (f"listen_addresses={_ADDRESS}",))
    server.start()
    password = secrets.token_urlsafe(16)
    try:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            create = sql.SQL("CREATE ROLE sre LOGIN SUPERUSER PASSWORD {}")
            connection.execute(create.format(sql.Literal(password)))
            with (directory / "postgres" / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all sre {_ADDRESS}/8 scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield f"postgresql://sre:{password}@{_ADDRESS}/uptimeo"
    finally:
        server.stop()


def _urls(server: Nginx, relay_port: int) -> dict[str, str]:
    """What is asked, by how it is called in the table."""
    ports = (("http", server.http_port), ("https", server.https_port))
    found = {
        f"{scheme} {path}": f"{scheme}://localhost:{port}/{path}"
        for scheme, port in ports
        for path in _PATHS
    }
    return found | {"https, held for 20 ms": f"https://localhost:{relay_port}/{_PATHS[0]}"}


@contextmanager
def _relay(server: Nginx) -> Iterator[int]:
    """The port of a relay to nginx, in a thread of its own, that holds the start of a handshake."""
    ports: Queue[int] = Queue()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def relay() -> None:
        async with delaying_relay(Address(port=server.https_port), _HELD_S) as address:
            ports.put(address.port)
            await ended.wait()

    thread = Thread(target=loop.run_until_complete, args=(relay(),), name="relay")
    thread.start()
    try:
        yield ports.get(timeout=10)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


async def _heartbeats(dsn: str, directory: Path, server: Nginx, urls: Collection[str]) -> None:
    """Run an agent until every URL has enough heartbeats, with curl asking in between."""
    variables = {
        "DB_CONN_STRING": dsn,
        "DATACENTER_ID": "1",
        "UPTIMEO_DATA_DIR": str(directory / "agent"),
    }
    code, said, error = await output("migrate", "--sample-data", **variables)
    assert code == 0, error
    print(said.strip())
    pem = json.dumps(server.ca_file.read_text())
    for url in urls:
        trust = ("--option", f"ca_pem={pem}") if url.startswith("https") else ()
        await output("monitor", "add", url, "--interval", "1", *trust, **variables)
    async with running("agent", **variables) as agent:
        for _ in range(_CHECKS * len(urls)):
            before = len(agent.lines)
            await agent.until(
                lambda at=before: next(  # type: ignore[misc]
                    (x for x in agent.lines[at:] if x["event"] == "heartbeat_inserted"), None
                ),
                "a heartbeat",
            )


def _curl(url: str, ca_file: Path) -> list[float | None]:
    """The marks of a curl that has asked once before, as phases in ms."""
    marks = (
        "%{time_namelookup} %{time_connect} %{time_appconnect} %{time_starttransfer} %{time_total}"
    )
    each = ["-sS", "-o", "/dev/null", "--cacert", str(ca_file)]
    before = urlsplit(url)._replace(netloc=f"127.0.0.1:{urlsplit(url).port}", path=f"/{_PATHS[0]}")
    command = ["curl", *each, before.geturl(), "--next", *each, "-w", marks, url]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    name, connect, app, first, total = (float(mark) * 1000 for mark in done.stdout.split())
    return [name, connect - name, app - connect if app else None, first, total]


def _compare(dsn: str, urls: Mapping[str, str], ca_file: Path) -> float:
    """Print a table and answer with the largest difference of two medians in ms."""
    worst = 0.0
    print(f"{'':>38} " + " ".join(f"{phase:>12}" for phase in _PHASES))
    with psycopg.connect(dsn) as connection:
        for name, url in urls.items():
            rows = connection.execute(_OURS, (url,)).fetchall()
            ours = _medians(rows)
            theirs = _medians([_curl(url, ca_file) for _ in range(len(rows))])
            print(f"{name:>30} uptimeo " + _shown(ours))
            print(f"{'(' + str(len(rows)) + ' each)':>30}    curl " + _shown(theirs))
            pairs = zip(ours, theirs, strict=True)
            worst = max(worst, *(abs(a - b) for a, b in pairs if a is not None and b is not None))
    return worst


def _medians(rows: Sequence[Sequence[float | None]]) -> list[float | None]:
    columns = zip(*rows, strict=True)
    return [None if None in column else median(column) for column in columns]


def _shown(values: Sequence[float | None]) -> str:
    return " ".join(f"{'-' if v is None else format(v, '.3f'):>12}" for v in values)


def _latest(dsn: str) -> None:
    """The query of the contract, as an existing user types it."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        query = "SELECT * FROM api_heartbeats ORDER BY executed_at DESC LIMIT 10"
        rows: list[dict[str, Any]] = connection.execute(query).fetchall()
    print(f"\n{query}: {len(rows)} rows, the newest of them:")
    print({key: value for key, value in rows[0].items() if value is not None})


def main() -> int:
    """Run the comparison; the exit code is its verdict."""
    if not is_installed():
        print("skipped: nginx is not installed")
        return 0
    with tempfile.TemporaryDirectory(prefix="uptimeo-nginx-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        for part in ("postgres", "nginx"):
            (directory / part).mkdir(mode=0o755)
        with (
            _postgres(directory / "postgres") as dsn,
            nginx(directory / "nginx") as server,
            _relay(server) as relay_port,
        ):
            urls = _urls(server, relay_port)
            asyncio.run(_heartbeats(dsn, directory, server, urls.values()))
            worst = _compare(dsn, urls, server.ca_file)
            _latest(dsn)
    print(f"\nlargest difference of two medians: {worst:.3f} ms (limit {_LIMIT_MS} ms)")
    return 0 if worst <= _LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
