"""A PostgreSQL to be watched: over TCP, with passwords, beside the one of the suite.

The wheel's server is built without TLS, which is why TLS ends in front of it.
"""

import asyncio
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.support.postgres import local_server
from tests.support.servers import HOST, serve

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
_RULES = """
local all all peer map=uptimeo
host all md5user all md5
host all all all scram-sha-256
"""
_SETUP = """
CREATE ROLE ann LOGIN PASSWORD 'hunter2';
SET password_encryption = 'md5';
CREATE ROLE md5user LOGIN PASSWORD 'hunter2';
CREATE TABLE orders (number int);
GRANT ALL ON orders TO ann;
INSERT INTO orders SELECT generate_series(1, 1000);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Where it listens."""

    host: str
    port: int = 5432

    def url(self, user: str = "ann", password: str = "hunter2", query: str = "") -> str:
        """How to log in."""
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/uptimeo{query}"

    @asynccontextmanager
    async def behind_tls(self, tls: ssl.SSLContext) -> AsyncIterator["Watched"]:
        """The same server, where TLS is asked for and ends, as PostgreSQL does it."""

        async def front(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readexactly(8) == _SSL_REQUEST
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(tls)
            inner, outer = await asyncio.open_connection(self.host, self.port)
            try:
                await asyncio.gather(_pump(reader, outer), _pump(inner, writer))
            finally:
                outer.close()

        async with serve(front) as server:
            yield Watched(host=HOST, port=server.port)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
    sink.close()


@contextmanager
def watched_postgres() -> Iterator[Watched]:
    """One server, on an address of 127/8 that no other run has: its port is fixed."""
    number = os.getpid()
    host = f"127.77.{number >> 8 & 255}.{number & 255 or 1}"
    directory = Path(tempfile.mkdtemp(prefix="uptimeo-watched-"))
    directory.chmod(0o711)
    (directory / "hba.conf").write_text(_RULES)
    options = ("fsync=off", f"listen_addresses={host}", f"hba_file={directory / 'hba.conf'}")
    local = local_server(directory, options)
    local.start()
    try:
        with psycopg.connect(local.conninfo, autocommit=True) as connection:
            connection.execute(_SETUP.encode())
        yield Watched(host=host)
    finally:
        local.stop()
        shutil.rmtree(directory)
