"""Is a mail server greeted, asked what it can, judged and left politely?"""

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.servers import serve
from tests.support.wire_checks import Talker, check, failure_of, up
from tests.support.zoo import Zoo
from uptimeo.domain.result import ErrorType, ProbeResult
from uptimeo.probes.base import Probe, ProbeContext
from uptimeo.probes.dialogues.mail import (
    ImapOptions,
    ImapProbe,
    Pop3Options,
    Pop3Probe,
    SmtpOptions,
    SmtpProbe,
)

ANIMAL = Zoo.new().animals["good"]
PROBES: dict[str, Probe[Any]] = {"smtp": SmtpProbe(), "imap": ImapProbe(), "pop3": Pop3Probe()}
FIRST = {
    "smtp": b"220 mail.example ESMTP\r\n",
    "imap": b"* OK mail.example\r\n",
    "pop3": b"+OK mail.example\r\n",
}
ANSWERS = {
    "smtp": {
        b"EHLO": b"250-mail.example\r\n250-SIZE 1000\r\n250-AUTH LOGIN PLAIN\r\n250 STARTTLS\r\n",
        b"STARTTLS": b"220 go\r\n",
        b"QUIT": b"221 bye\r\n",
    },
    "imap": {
        b"s1": b"s1 OK go\r\n",
        b"u1": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN STARTTLS\r\nu1 OK done\r\n",
        b"u2": b"* BYE bye\r\nu2 OK done\r\n",
    },
    "pop3": {
        b"STLS": b"+OK go\r\n",
        b"CAPA": b"+OK list\r\nUIDL\r\nSTLS\r\nSASL PLAIN LOGIN\r\n.\r\n",
        b"QUIT": b"+OK bye\r\n",
    },
}
UPGRADES = {"smtp": b"STARTTLS", "imap": b"s1", "pop3": b"STLS"}
FAREWELLS = {"smtp": b"QUIT\r\n", "imap": b"u2 LOGOUT\r\n", "pop3": b"QUIT\r\n"}
ABLE = {
    "smtp": ["SIZE 1000", "AUTH LOGIN PLAIN", "STARTTLS"],
    "imap": ["IMAP4rev1", "AUTH=PLAIN", "STARTTLS"],
    "pop3": ["UIDL", "STLS", "SASL PLAIN LOGIN"],
}
KINDS = list(PROBES)


def server_of(kind: str, **more: Any) -> Talker:
    return Talker(FIRST[kind], ANSWERS[kind], upgrade=UPGRADES[kind], pieces=3, **more)


async def checked(kind: str, talker: Talker, **options: Any) -> ProbeResult:
    tls = ANIMAL.server() if options.get("security") == "tls" else None
    async with serve(talker, tls=tls) as server:
        url = f"{kind}://localhost:{server.port}"
        return await check(PROBES[kind], url, tls=ANIMAL.options(), **options)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_is_greeted_asked_and_left(kind: str) -> None:
    talker = server_of(kind)

    result = up(await checked(kind, talker))

    assert result.facts["banner"] == FIRST[kind].decode().strip()
    assert result.facts["offers"] == ABLE[kind]
    assert talker.heard[-1] == FAREWELLS[kind]
    assert {"greeting", "capability", "quit"} <= result.phases.own.keys()
    assert result.phases.tls is None


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("kind", KINDS)
async def test_the_capabilities_are_those_inside_tls(kind: str, security: str) -> None:
    talker = server_of(kind, tls=ANIMAL.server() if security == "starttls" else None)

    result = up(await checked(kind, talker, security=security))

    assert result.facts["offers"] == ABLE[kind]
    assert result.facts["certificate"]["names"] == ["localhost", "127.0.0.1"]
    assert ("starttls" in result.phases.own) is (security == "starttls")
    assert talker.heard[-1] == FAREWELLS[kind]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_expected_of_banner_and_capabilities_is_told(kind: str) -> None:
    talker = server_of(kind)
    first = ABLE[kind][0]

    result = await checked(
        kind,
        talker,
        banner=r"mail\.example",
        capabilities=[ABLE[kind][-1], "XNEVER"],
        absent_capabilities=[first],
    )

    message = failure_of(result, ErrorType.ASSERTION).message
    assert "expected the capability XNEVER, got " in message
    assert "; 1 more failed" in message
    assert [each["ok"] for each in result.facts["assertions"]] == [True, True, False, False]
    assert talker.heard[-1] == FAREWELLS[kind]


@pytest.mark.parametrize(
    ("wanted", "ok"),
    [("auth plain", True), ("AUTH LOGIN PLAIN", True), ("AUTH GSSAPI", False), ("PLAIN", False)],
)
async def test_a_word_of_a_capability_may_be_wanted(wanted: str, ok: bool) -> None:
    result = await checked("smtp", server_of("smtp"), capabilities=[wanted])

    assert (result.failure is None) is ok


@pytest.mark.parametrize(
    ("kind", "first"),
    [("smtp", b"554 no\r\n"), ("imap", b"* BYE no\r\n"), ("pop3", b"-ERR no\r\n")],
)
async def test_an_unfriendly_greeting_is_unexpected(kind: str, first: bytes) -> None:
    failure = failure_of(await checked(kind, Talker(first, {})), ErrorType.UNEXPECTED)

    assert failure.phase == "greeting"
    assert f"came '{first.decode().strip()}'" in failure.message


async def test_an_old_pop3_server_has_no_capabilities() -> None:
    talker = Talker(b"+OK old\r\n", {b"CAPA": b"-ERR what?\r\n", b"QUIT": b"+OK\r\n"})

    assert up(await checked("pop3", talker)).facts["offers"] == []


async def test_a_server_that_does_not_say_goodbye_is_up() -> None:
    talker = Talker(FIRST["smtp"], {b"EHLO": b"250 mail\r\n"})

    result = up(await checked("smtp", talker, timeout_ms=300))

    assert result.facts["offers"] == []


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"2")
        await writer.drain()
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_greeting_that_drips_ends_with_the_budget(kind: str) -> None:
    async with serve(dripping) as server:
        url = f"{kind}://localhost:{server.port}"
        result = await check(PROBES[kind], url, timeout_ms=200)

    assert "came '222222" in failure_of(result, ErrorType.FIRST_BYTE_TIMEOUT).message
    assert result.total_ms is not None
    assert result.total_ms < 1000


async def test_a_refused_upgrade_is_told() -> None:
    talker = Talker(FIRST["smtp"], {b"EHLO": b"250 mail\r\n", b"STARTTLS": b"502 no\r\n"})

    failure = failure_of(await checked("smtp", talker, security="starttls"), ErrorType.STARTTLS)

    assert "expected 220 to STARTTLS, came '502 no'" in failure.message


async def test_the_banner_is_stored_when_it_changes_only() -> None:
    options = SmtpOptions(url="smtp://localhost:1")
    shown = []
    for _ in range(2):
        async with serve(server_of("smtp")) as server:
            object.__setattr__(options, "url", f"smtp://localhost:{server.port}")
            result = await PROBES["smtp"].probe(options, ProbeContext(timeout_ms=3000))
            shown.append(set(result.facts))

    assert shown == [{"banner", "offers"}, set()]


@pytest.mark.parametrize(
    ("options", "url", "security", "port"),
    [
        (SmtpOptions, "smtp://h", "none", 25),
        (SmtpOptions, "smtp://h", "tls", 465),
        (ImapOptions, "imap://h", "starttls", 143),
        (ImapOptions, "imap://h", "tls", 993),
        (Pop3Options, "pop3://h", "none", 110),
        (Pop3Options, "pop3://h:7", "tls", 7),
    ],
)
def test_the_port_is_the_usual_one(options: Any, url: str, security: str, port: int) -> None:
    assert options(url=url, security=security).endpoint().port == port


def test_a_name_that_is_more_than_one_word_is_refused() -> None:
    with pytest.raises(ValidationError):
        SmtpOptions(url="smtp://h", ehlo_name="a\r\nMAIL FROM:<b>")
