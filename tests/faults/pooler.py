"""What if a PgBouncer stands before the database, and lends a session for one transaction?"""

import asyncio
import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.servers import HOST

_READY_S = 10.0
_CONFIG = """
[databases]
* = host={database} port=5432
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users
pool_mode = transaction
default_pool_size = 8
logfile = {directory}/log
pidfile =
"""


def missing() -> str | None:
    """Why there can be no pooler on this machine, or None."""
    return None if _program() else "pgbouncer is not installed"


@asynccontextmanager
async def pooler(database: str, user: str, password: str) -> AsyncIterator[str]:
    """A PgBouncer in transaction mode before that address; answers with the string to use."""
    program = _program()
    assert program is not None, "pgbouncer is not installed"
    owner = _runs_as(database)
    with tempfile.TemporaryDirectory(prefix="uptimeo-pooler-") as name:
        directory, port = Path(name), _free_port()
        text = _CONFIG.format(database=database, host=HOST, port=port, directory=directory)
        (directory / "config").write_text(text, "ascii")
        (directory / "users").write_text(f'"{user}" "{password}"\n', "ascii")
        for path in (directory, *directory.iterdir()):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        process = await asyncio.create_subprocess_exec(
            *(program, "--quiet", str(directory / "config")),
            user=owner.pw_uid,
            group=owner.pw_gid,
            extra_groups=[],
        )
        try:
            await _listening(port)
            yield f"postgresql://{user}:{password}@{HOST}:{port}/uptimeo"
        finally:
            process.kill()
            await process.wait()


def _runs_as(database: str) -> pwd.struct_passwd:
    """Who may reach that address; never root, as whom it refuses to run."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    if database.startswith("/"):
        return pwd.getpwuid(Path(database).stat().st_uid)
    return pwd.getpwnam("nobody")


def _program() -> str | None:
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _listening(port: int) -> None:
    async with asyncio.timeout(_READY_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
