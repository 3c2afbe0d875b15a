"""Who answers in place of the hosts that the examples of `docs/monitors.md` name?

Real servers on loopback under the names of the examples: their certificates are for these names,
and only the ports are others.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

from tests.support.certificates import Authority
from tests.support.dns_server import Query, serve_dns
from tests.support.grpc_servers import grpc_server
from tests.support.servers import HOST, Received, read_request, response, serve
from tests.support.watched_postgres import watched_postgres
from tests.support.wire_checks import Talker
from uptimeo.probes.base import Address, Family, Resolver, literal

_SMTP = {
    b"EHLO": b"250-mail.example\r\n250-AUTH LOGIN PLAIN\r\n250 STARTTLS\r\n",
    b"STARTTLS": b"220 go\r\n",
    b"QUIT": b"221 bye\r\n",
}
_IMAP = {
    b"u1": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nu1 OK done\r\n",
    b"u2": b"* BYE bye\r\nu2 OK done\r\n",
}
_POP3 = {b"CAPA": b"+OK list\r\nUIDL\r\nSTLS\r\n.\r\n", b"QUIT": b"+OK bye\r\n"}
_RECORDS = {
    "A": ("www.example.com. 60 IN A 203.0.113.10", "www.example.com. 60 IN A 203.0.113.11"),
    "SOA": ("example.com. 60 IN SOA ns1.example. admin.example. 2026010101 1 1 1 1",),
}


class Loopback(Resolver):
    """Every name is this host; an address is itself."""

    async def resolve(self, name: str, family: Family, timeout_s: float) -> tuple[Address, ...]:
        """As the resolver of an agent."""
        return (literal(name) or Address(HOST),)


@asynccontextmanager
async def stand_ins(authority: Authority) -> AsyncIterator[Mapping[str, str]]:
    """The beginnings of the examples' URLs, and what to put in their place."""
    tls = authority.valid("shop.example", "mail.example", "chat.example")
    async with AsyncExitStack() as stack:
        # First of all: grpcio does not like its threads to be there when a process is started.
        database = await asyncio.to_thread(stack.enter_context, watched_postgres())
        https = await stack.enter_async_context(serve(_shop, tls=tls))
        http = await stack.enter_async_context(serve(_shop))
        cache = await stack.enter_async_context(serve(Talker(b"", {b"PING": b"+PONG\r\n"})))
        smtp = Talker(b"220 mail.example ESMTP\r\n", _SMTP, upgrade=b"STARTTLS", tls=tls)
        mail = await stack.enter_async_context(serve(smtp))
        imap = await stack.enter_async_context(serve(Talker(b"* OK hello\r\n", _IMAP), tls=tls))
        pop3 = await stack.enter_async_context(serve(Talker(b"+OK hello\r\n", _POP3)))
        names = await stack.enter_async_context(serve_dns(_names))
        chat = await stack.enter_async_context(serve_websocket(_chat, HOST, 0, ssl=tls))
        orders = stack.enter_context(grpc_server({"shop.Orders": "SERVING"}))
        yield {
            "https://shop.example": f"https://shop.example:{https.port}",
            "http://shop.example": f"http://shop.example:{http.port}",
            "tls://shop.example": f"tls://shop.example:{https.port}",
            "tcp://cache.example:6379": f"tcp://cache.example:{cache.port}",
            "tcp://mail.example:587": f"tcp://mail.example:{mail.port}",
            "smtp://mail.example:587": f"smtp://mail.example:{mail.port}",
            "imap://mail.example": f"imap://mail.example:{imap.port}",
            "pop3://mail.example": f"pop3://mail.example:{pop3.port}",
            "dns://ns1.example": f"dns://ns1.example:{names}",
            "wss://chat.example": f"wss://chat.example:{chat.sockets[0].getsockname()[1]}",
            "grpc://orders.example:50051": f"grpc://orders.example:{orders}",
            "postgresql://watcher:s3cr3t@db.example/shop": database.url(),
        }


def allow_list(toml: str, directory: Path) -> Path:
    """The file of commands, as the page shows it."""
    file = directory / "commands.toml"
    file.write_text(toml)
    file.chmod(0o600)
    return file


def trust(authority: Authority, directory: Path) -> Path:
    """A bundle of authorities with that one alone."""
    file = directory / "authorities.pem"
    file.write_text(authority.pem)
    return file


async def _shop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        request = await read_request(reader)
    except EOFError:
        return  # who only wanted to see the certificate
    if request.path == "/":
        writer.write(response("308 Permanent Redirect", "Location: https://shop.example/"))
    elif request.path == "/search" and not _may_search(request):
        writer.write(response("401 Unauthorized"))
    else:
        writer.write(response("200 OK", body=json.dumps({"status": "ok"}).encode()))
    await writer.drain()


def _may_search(request: Received) -> bool:
    wanted = {"authorization": "Bearer s3cr3t", "accept-language": "de"}
    known = all(request.header(name) == value for name, value in wanted.items())
    return known and json.loads(request.body) == {"query": "shoes"}


async def _names(query: Query) -> None:
    kind = query.message.question[0].rdtype.name
    await query.answer(*_RECORDS[kind], flags="AA")


async def _chat(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send("pong" if message == "ping" else "what?")
