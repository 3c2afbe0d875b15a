"""Do our phases agree with `curl -w`? An agent and curl ask the same nginx.

A PostgreSQL 18 is started separately and reached over TCP with a password, as in production.
Prints the medians of both and exits with 1 if one differs by more than 2 ms. curl counts to TLS
what it computes itself for a handshake, and we do not: there ours may be less by any amount, and
first byte and total are compared without it.
"""

import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tests.support.agents import output, running
from tests.support.nginx import Nginx, is_installed, nginx
from uptimeo.storage.local import LocalServer

_LIMIT_MS = 2.0
_CHECKS = 20
_ADDRESS = "127.0.77.1"  # loopback, where no other PostgreSQL listens
_PATHS = ("hello.txt", "large.bin", "slow/large.bin")
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


def _urls(server: Nginx) -> list[str]:
    bases = (f"http://localhost:{server.http_port}", f"https://localhost:{server.https_port}")
    return [f"{base}/{path}" for base in bases for path in _PATHS]


async def _heartbeats(dsn: str, directory: Path, server: Nginx, urls: Sequence[str]) -> None:
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
    """The marks of one run of curl, as phases in ms."""
    marks = (
        "%{time_namelookup} %{time_connect} %{time_appconnect} %{time_starttransfer} %{time_total}"
    )
    command = ["curl", "-sS", "-o", "/dev/null", "-w", marks, "--cacert", str(ca_file), url]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    name, connect, app, first, total = (float(mark) * 1000 for mark in done.stdout.split())
    return [name, connect - name, app - connect if app else None, first, total]


def _compare(dsn: str, urls: Sequence[str], ca_file: Path) -> float:
    """Print a table and answer with the largest difference of two medians in ms."""
    worst = 0.0
    print(f"{'':>38} " + " ".join(f"{phase:>12}" for phase in _PHASES))
    with psycopg.connect(dsn) as connection:
        for url in urls:
            rows = connection.execute(_OURS, (url,)).fetchall()
            ours = _medians(rows)
            theirs = _medians([_curl(url, ca_file) for _ in range(len(rows))])
            path = url.partition("//")[2].partition("/")[2]
            print(f"{url.partition(':')[0] + ' ' + path:>30} uptimeo " + _shown(ours))
            print(f"{'(' + str(len(rows)) + ' each)':>30}    curl " + _shown(theirs))
            worst = max(worst, *_differences(ours, theirs))
    return worst


def _differences(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Iterator[float]:
    tls = _PHASES.index("tls")
    for number, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        if our is None or their is None:
            continue
        if number == tls:
            yield our - their
        elif number < tls:
            yield abs(our - their)
        else:
            yield abs((our - (ours[tls] or 0.0)) - (their - (theirs[tls] or 0.0)))


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
        with _postgres(directory / "postgres") as dsn, nginx(directory / "nginx") as server:
            urls = _urls(server)
            asyncio.run(_heartbeats(dsn, directory, server, urls))
            worst = _compare(dsn, urls, server.ca_file)
            _latest(dsn)
    print(f"\nlargest difference of two medians: {worst:.3f} ms (limit {_LIMIT_MS} ms)")
    return 0 if worst <= _LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
