"""Is TLS asked for in the words of each protocol, and is a refusal told from a fault?"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.support.servers import HOST, Script, serve
from tests.support.wire_checks import Talker, check, failure_of, up
from tests.support.zoo import Zoo
from uptimeo.domain.result import ErrorType, ProbeResult
from uptimeo.probes.dialogues.tcp import TcpProbe

ANIMAL = Zoo.new().animals["good"]
FEATURES = (
    b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'>"
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"
)
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


async def checked(script: Script, protocol: str, **options: Any) -> ProbeResult:
    async with serve(script) as server:
        url = f"tcp://localhost:{server.port}"
        tls = ANIMAL.options()
        return await check(TcpProbe(), url, starttls=protocol, tls=tls, timeout_ms=1000, **options)


def mysql(capabilities: int) -> bytes:
    body = b"\x0a8.0.40\x00" + bytes(12) + b"\x00" + struct.pack("<H", capabilities) + bytes(30)
    return len(body).to_bytes(3, "little") + b"\x00" + body


def ldap(code: int) -> bytes:
    body = b"\x02\x01\x01" + b"\x78\x07" + b"\x0a\x01" + bytes([code]) + b"\x04\x00\x04\x00"
    return b"\x30" + bytes([len(body)]) + body


def turns(*pairs: tuple[int | bytes, bytes], tls: ssl.SSLContext | None = None) -> Script:
    """Read so many bytes, or up to these, then say; then begin TLS."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for heard, said in pairs:
            if isinstance(heard, int):
                await reader.readexactly(heard)
            else:
                await reader.readuntil(heard)
            for at in range(len(said)):
                writer.write(said[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0)
        if tls is not None:
            await writer.start_tls(tls)
        await reader.read()

    return script


def agreeing(protocol: str) -> Script:
    tls = ANIMAL.server()
    scripts: dict[str, Callable[[], Script]] = {
        "smtp": lambda: Talker(
            b"220-mail\r\n220 ready\r\n",
            {b"EHLO": b"250-mail\r\n250 STARTTLS\r\n", b"STARTTLS": b"220 go\r\n"},
            upgrade=b"STARTTLS",
            tls=tls,
            pieces=1,
        ),
        "imap": lambda: Talker(
            b"* OK ready\r\n",
            {b"s1 STARTTLS": b"* hello\r\ns1 OK go\r\n"},
            upgrade=b"s1",
            tls=tls,
            pieces=1,
        ),
        "pop3": lambda: Talker(
            b"+OK ready\r\n", {b"STLS": b"+OK go\r\n"}, upgrade=b"STLS", tls=tls, pieces=1
        ),
        "xmpp": lambda: turns((b"streams'>", FEATURES), (b"/>", PROCEED), tls=tls),
        "postgres": lambda: turns((8, b"S"), tls=tls),
        "ldap": lambda: turns((31, ldap(0)), tls=tls),
    }
    return scripts[protocol]()


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3", "xmpp", "postgres", "ldap"])
async def test_tls_begins_after_the_words_of_the_protocol_in_any_pieces(protocol: str) -> None:
    result = up(await checked(agreeing(protocol), protocol))

    assert result.facts["certificate"]["names"] == ["localhost", "127.0.0.1"]
    assert result.phases.own["starttls"] > 0
    assert result.phases.tls is not None


async def test_mysql_begins_tls_right_after_the_request_without_an_answer() -> None:
    def serve_once(listener: socket.socket) -> bytes:
        client, _ = listener.accept()
        with client:
            client.sendall(mysql(0xFFFF))
            request = client.recv(36, socket.MSG_WAITALL)
            # A client that leaves without having read its tickets resets the connection.
            with (
                suppress(OSError),
                ANIMAL.server().wrap_socket(client, server_side=True) as secured,
            ):
                secured.recv(1)
            return request

    with socket.create_server((HOST, 0)) as listener:
        serving = asyncio.create_task(asyncio.to_thread(serve_once, listener))
        url = f"tcp://localhost:{listener.getsockname()[1]}"
        result = up(await check(TcpProbe(), url, starttls="mysql", tls=ANIMAL.options()))
        request = await serving

    assert result.facts["certificate"]["names"] == ["localhost", "127.0.0.1"]
    assert request[:4] == b"\x20\x00\x00\x01"
    assert int.from_bytes(request[4:6], "little") & 0x0800


@pytest.mark.parametrize(
    ("protocol", "script"),
    [
        (
            "smtp",
            Talker(b"220 a\r\n", {b"EHLO": b"250 a\r\n", b"STARTTLS": b"502 not here\r\n"}),
        ),
        ("imap", Talker(b"* OK a\r\n", {b"s1": b"s1 BAD not here\r\n"})),
        ("pop3", Talker(b"+OK a\r\n", {b"STLS": b"-ERR not here\r\n"})),
        ("xmpp", turns((b"streams'>", FEATURES.replace(b"starttls", b"other")))),
        ("xmpp", turns((b"streams'>", FEATURES), (b"/>", b"<failure/>"))),
        ("postgres", turns((8, b"N"))),
        ("mysql", turns((0, mysql(0xF7FF)))),
        ("ldap", turns((31, ldap(2)))),
    ],
)
async def test_a_server_that_does_not_want_tls_has_refused_it(
    protocol: str, script: Script
) -> None:
    failure = failure_of(await checked(script, protocol), ErrorType.STARTTLS)

    assert failure.phase == "starttls"
    assert "expected" in failure.message
    assert "came" in failure.message


@pytest.mark.parametrize(
    ("protocol", "script"),
    [
        ("smtp", Talker(b"554 go away\r\n", {})),
        ("smtp", Talker(b"220 a\r\n", {b"EHLO": b"550 not you\r\n"})),
        ("imap", Talker(b"* BYE full\r\n", {})),
        ("pop3", Talker(b"HTTP/1.1 400 Bad Request\r\n", {})),
        ("xmpp", turns((b"streams'>", b"<stream:stream><stream:error></stream:error>"))),
        ("mysql", turns((0, b"\x10\x00\x00\x00\xff\x69\x04Host is blocked"[:20]))),
        ("ldap", turns((31, b"HTTP/1.1 400 Bad Request\r\n" + bytes(60)))),
    ],
)
async def test_a_server_of_another_kind_or_mood_is_unexpected(
    protocol: str, script: Script
) -> None:
    failure_of(await checked(script, protocol), ErrorType.UNEXPECTED)


async def test_a_silent_server_is_told_with_what_should_have_come() -> None:
    failure = failure_of(
        await checked(turns((b"never", b"")), "imap"), ErrorType.FIRST_BYTE_TIMEOUT
    )

    assert "expected a greeting with * OK, came nothing" in failure.message


async def test_a_line_without_end_is_cut_off() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"220-more\r\n" * 100)
            await writer.drain()

    failure_of(await checked(endless, "smtp"), ErrorType.BODY_TOO_LARGE)


async def test_words_slipped_in_before_tls_are_refused() -> None:
    script = Talker(b"+OK a\r\n", {b"STLS": b"+OK go\r\n+OK forged\r\n"})

    failure_of(await checked(script, "pop3"), ErrorType.STARTTLS)
