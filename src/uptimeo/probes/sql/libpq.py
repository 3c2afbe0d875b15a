"""How is one query asked of a PostgreSQL that is watched? The probes' own door to psycopg.

The bare libpq under psycopg, because it shows each step of a login, and lets us say where to
connect, how long to wait and how much to read. Nothing of the agent's own access goes there: no
variable of its environment, no password file, no certificate of its user.
"""

import asyncio
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from uptimeo.domain.result import ErrorType, Phase
from uptimeo.probes.context import ProbeContext
from uptimeo.probes.failing import TargetError, fail
from uptimeo.probes.network.resolver import Address
from uptimeo.probes.network.tls import trusted_ca_file
from uptimeo.probes.timeline import Timeline

_OWN = frozenset({"host", "port", "user", "password", "dbname"})
_ALLOWED = frozenset({"sslmode", "sslnegotiation", "channel_binding", "application_name"})
_NOWHERE = "/dev/null/none"  # a path at which there never is a file
_VERIFIED = ("verify-ca", "verify-full")
_STARTED, _SSL = pq.ConnStatus.STARTED, pq.ConnStatus.SSL_STARTUP
# Offset and size of tcpi_bytes_received in Linux's struct tcp_info.
_RECEIVED = slice(128, 136)
# libpq has texts only for what goes wrong before the first query; the first that occurs counts.
_TEXTS = (
    ("does not match host name", ErrorType.TLS_HOSTNAME),
    ("certificate verify failed", ErrorType.TLS_UNTRUSTED),
    ("SSL", ErrorType.TLS),
    ("Connection refused", ErrorType.CONNECT_REFUSED),
    ("No route to host", ErrorType.CONNECT_UNREACHABLE),
    ("Network is unreachable", ErrorType.CONNECT_UNREACHABLE),
    ("timed out", ErrorType.CONNECT_TIMEOUT),
    ("Connection reset", ErrorType.CONNECTION_RESET),
    ("closed the connection unexpectedly", ErrorType.EMPTY_RESPONSE),
    ("expected authentication request", ErrorType.PROTOCOL),
    ("invalid response to", ErrorType.PROTOCOL),
    ("invalid authentication request", ErrorType.PROTOCOL),
    ("password", ErrorType.AUTHENTICATION),
    ("authentication", ErrorType.AUTHENTICATION),
    ("no pg_hba.conf entry", ErrorType.AUTHENTICATION),
    ("role ", ErrorType.AUTHENTICATION),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a connection URI says, read; `extra` are libpq's parameters that a monitor may set."""

    host: str
    port: int
    user: str
    password: str
    database: str
    extra: tuple[tuple[str, str], ...]

    @property
    def shown(self) -> str:
        """The URI without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"postgresql://{self.user}@{host}:{self.port}/{self.database}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a query gave: the number of rows, and the first column of the first; None is NULL."""

    rows: int
    value: str | None


def read_uri(uri: str) -> Server:
    """Raises ValueError that does not repeat the URI, which may hold a password."""
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(uri).items()}
    except psycopg.ProgrammingError:
        raise ValueError("is no connection URI of PostgreSQL") from None
    if misplaced := _OWN & {key for key, _ in parse_qsl(urlsplit(uri).query)}:
        raise ValueError(f"must not name {min(misplaced)!r} after the question mark")
    if refused := sorted(given.keys() - _OWN - _ALLOWED):
        raise ValueError(f"may not set {refused[0]!r}: allowed are {', '.join(sorted(_ALLOWED))}")
    host, port = given.get("host", ""), given.get("port", "5432")
    if not host or "," in host or host.startswith(("/", "@")):
        raise ValueError("must name one host")
    if not (port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError("must name one port")
    user = given.get("user", "")
    if not user:
        raise ValueError("must name a user: postgresql://user:password@host/database")
    extra = tuple((key, value) for key, value in given.items() if key in _ALLOWED)
    return Server(
        host=host,
        port=int(port),
        user=user,
        password=given.get("password", ""),
        database=given.get("dbname", user),
        extra=extra,
    )


class Session:
    """One connection of one check; `close` it. Every wait ends with the check's deadline."""

    def __init__(self, server: Server, context: ProbeContext, timeline: Timeline) -> None:
        self._server = server
        self._context = context
        self._timeline = timeline
        self._connection: PGconn | None = None
        self.at = f"{server.host}:{server.port}"

    @property
    def facts(self) -> dict[str, object]:
        """What the login showed."""
        assert self._connection is not None
        version = self._connection.server_version
        return {
            "server_version": f"{version // 10_000}.{version % 10_000}",
            "encrypted": bool(self._connection.ssl_in_use),
        }

    async def open(self, addresses: Sequence[Address], ca_pem: str | None) -> None:
        """Connect to the first address that answers, and log in: phases connect, tls, login."""
        with _authorities(self._server, ca_pem) as parameters:
            conninfo = make_conninfo(**(_parameters(self._server, addresses) | parameters))
            self._connection = connection = pq.PGconn.connect_start(conninfo.encode())
            await self._log_in(connection)
        connection.nonblocking = 1

    async def _log_in(self, connection: PGconn) -> None:
        writing = True
        while connection.status != pq.ConnStatus.OK:
            if connection.status == pq.ConnStatus.BAD:
                raise self._refused(connection)
            phase = _phase(connection.status)
            began = time.perf_counter()
            try:
                await self._ready(connection, phase, writing=writing)
                polled = connection.connect_poll()
            finally:
                self._timeline.add(phase, (time.perf_counter() - began) * 1000)
            if polled == pq.PollingStatus.FAILED:
                raise self._refused(connection, phase)
            self._timeline.resolved_ip = (connection.hostaddr or b"").decode() or None
            writing = polled == pq.PollingStatus.WRITING

    async def ask(self, query: str) -> Table | None:
        """The result of one statement; None if it gives no rows. Raises TargetError."""
        connection = self._connection
        assert connection is not None
        connection.send_query_params(query.encode(), None)
        return _table(await self._result(connection), self.at)

    async def begin(self) -> None:
        """A transaction that can only read, with the rest of the budget as the server's limit."""
        connection = self._connection
        assert connection is not None
        left_ms = max(1, int(self._context.remaining_s() * 1000))
        limit = f"BEGIN READ ONLY; SET LOCAL statement_timeout = {left_ms}"
        connection.send_query(limit.encode())
        _table(await self._result(connection), self.at)

    async def _result(self, connection: PGconn) -> PGresult:
        """The last result, or the first that is a fault."""
        last = None
        while True:
            while (unsent := connection.flush()) or connection.is_busy():
                await self._ready(connection, "query", writing=bool(unsent))
                self._consume(connection)
            if (result := connection.get_result()) is None:
                assert last is not None
                return last
            last = result
            if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                return result

    def _consume(self, connection: PGconn) -> None:
        try:
            connection.consume_input()
        except psycopg.OperationalError as error:
            text = f"connection to {self.at} broke: {_line(str(error))}"
            raise fail(ErrorType.CONNECTION_RESET, text) from error

    async def _ready(self, connection: PGconn, phase: Phase | str, *, writing: bool) -> None:
        """Wait until libpq can go on; the bytes received so far are counted."""
        at, limit = self.at, self._context.limits.read_bytes
        try:
            async with asyncio.timeout_at(self._context.deadline):
                await _readiness(connection.socket, writing=writing)
        except TimeoutError as error:
            kind = ErrorType.CONNECT_TIMEOUT if phase is Phase.CONNECT else ErrorType.TIMEOUT
            text = f"{phase} at {at} not complete within {self._context.timeout_ms} ms"
            raise fail(kind, text, phase) from error
        if _bytes_received(connection.socket) > limit:
            raise fail(ErrorType.BODY_TOO_LARGE, f"{at} sent more than {limit} bytes", phase)

    def _refused(self, connection: PGconn, phase: Phase | str | None = None) -> TargetError:
        text = connection.get_error_message()
        kind = next((kind for part, kind in _TEXTS if part in text), ErrorType.UNEXPECTED)
        where = Phase.CONNECT if kind.value.startswith("connect_") else phase
        named = text if self._server.host in text else f"{self.at}: {text}"
        return fail(kind, _line(named), where)

    def close(self) -> None:
        """Leave; a transaction that is open is rolled back by the server."""
        if self._connection is not None:
            self._connection.finish()


def _parameters(server: Server, addresses: Sequence[Address]) -> dict[str, str]:
    """Each one that libpq would take from the agent's environment or home otherwise."""
    return {
        "application_name": "uptimeo probe",
        **dict(server.extra),
        "host": ",".join(server.host for _ in addresses),
        "hostaddr": ",".join(address.ip for address in addresses),
        "port": str(server.port),
        "user": server.user,
        "password": server.password,
        "passfile": _NOWHERE,
        "dbname": server.database,
        "options": "",
        "sslcertmode": "disable",
        "sslcrl": "",
        "sslcrldir": "",
        "gssencmode": "disable",
        "require_auth": "!gss,!sspi",
        "target_session_attrs": "any",
        "client_encoding": "UTF8",
    }


@contextmanager
def _authorities(server: Server, ca_pem: str | None) -> Iterator[dict[str, str]]:
    """Whom to trust. libpq reads files only; ours has no name on any disk."""
    mode = dict(server.extra).get("sslmode", "prefer" if ca_pem is None else "verify-full")
    if mode not in _VERIFIED:
        yield {"sslmode": mode, "sslrootcert": _NOWHERE}
        return
    if ca_pem is None:
        yield {"sslmode": mode, "sslrootcert": trusted_ca_file()}
        return
    held = os.memfd_create("uptimeo authorities")
    try:
        os.write(held, ca_pem.encode())
        yield {"sslmode": mode, "sslrootcert": f"/proc/self/fd/{held}"}
    finally:
        os.close(held)


def _phase(status: int) -> Phase | str:
    if status == _STARTED:
        return Phase.CONNECT
    return Phase.TLS if status == _SSL else "login"


async def _readiness(descriptor: int, *, writing: bool) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, note)
    if writing:
        loop.add_writer(descriptor, note)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
        loop.remove_writer(descriptor)


def _bytes_received(descriptor: int) -> int:
    borrowed = socket.socket(fileno=descriptor)
    try:
        told = borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.stop)
    finally:
        borrowed.detach()
    return int.from_bytes(told[_RECEIVED], "little")


def _table(result: PGresult, at: str) -> Table | None:
    if result.status == pq.ExecStatus.COMMAND_OK:
        return None
    if result.status == pq.ExecStatus.TUPLES_OK:
        raw = result.get_value(0, 0) if result.ntuples and result.nfields else None
        value = None if raw is None else raw.decode("utf-8", "replace")
        return Table(rows=result.ntuples, value=value)
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    said = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
    kind = ErrorType.TIMEOUT if state == "57014" else ErrorType.QUERY
    text = f"{said} (SQLSTATE {state})" if said else "the answer is no table"
    raise fail(kind, f"{at}: {_line(text)}")


def _line(text: str) -> str:
    return " ".join(text.split())
