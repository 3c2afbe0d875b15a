"""What is said in the clear before TLS begins? One dialogue for each protocol. Pure."""

import struct
from collections.abc import Callable
from typing import Literal
from xml.sax.saxutils import quoteattr

from uptimeo.probes.base import ErrorType
from uptimeo.probes.dialogues.dialogue import Turn, begins
from uptimeo.probes.dialogues.framing import (
    ber_message,
    exactly,
    imap_reply,
    line,
    mysql_packet,
    silence,
    smtp_reply,
    until,
)

Starttls = Literal["smtp", "imap", "pop3", "xmpp", "postgres", "mysql", "ldap"]
USUAL_PORTS: dict[Starttls, int] = {
    "smtp": 25,
    "imap": 143,
    "pop3": 110,
    "xmpp": 5222,
    "postgres": 5432,
    "mysql": 3306,
    "ldap": 389,
}

_REFUSED = ErrorType.STARTTLS

SMTP_GREETING = Turn(frame=smtp_reply, fault=begins(b"220"), expected="a greeting with 220")
SMTP_STARTTLS = Turn(
    says=b"STARTTLS\r\n",
    frame=smtp_reply,
    fault=begins(b"220", otherwise=_REFUSED),
    expected="220 to STARTTLS",
)
IMAP_GREETING = Turn(
    frame=line, fault=begins(b"* OK", b"* PREAUTH"), expected="a greeting with * OK"
)
POP3_GREETING = Turn(frame=line, fault=begins(b"+OK"), expected="a greeting with +OK")
POP3_STARTTLS = Turn(
    says=b"STLS\r\n",
    frame=line,
    fault=begins(b"+OK", otherwise=_REFUSED),
    expected="+OK to STLS",
)


def ehlo(name: str) -> Turn:
    """We introduce ourselves, and the server says what it can."""
    return Turn(
        says=f"EHLO {name}\r\n".encode(),
        frame=smtp_reply,
        fault=begins(b"250"),
        expected="250 to EHLO",
    )


def _imap_starttls() -> Turn:
    def fault(answer: bytes) -> ErrorType | None:
        return None if answer.splitlines()[-1].startswith(b"s1 OK") else _REFUSED

    return Turn(
        says=b"s1 STARTTLS\r\n", frame=imap_reply(b"s1"), fault=fault, expected="OK to STARTTLS"
    )


IMAP_STARTTLS = _imap_starttls()


def dialogue(protocol: Starttls, name: str) -> tuple[Turn, ...]:
    """What is said before a handshake with the server of that name."""
    return _DIALOGUES[protocol](name)


def _xmpp(name: str) -> tuple[Turn, ...]:
    """RFC 6120, 5.4."""
    opening = (
        f"<?xml version='1.0'?><stream:stream to={quoteattr(name)} version='1.0'"
        " xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    )

    def no_offer(answer: bytes) -> ErrorType | None:
        if b"<stream:features" not in answer:
            return ErrorType.UNEXPECTED
        return None if b"<starttls" in answer else _REFUSED

    ends = (b"</stream:features>", b"<stream:features/>", b"</stream:error>", b"</stream:stream>")
    return (
        Turn(
            says=opening.encode(),
            frame=until(*ends),
            fault=no_offer,
            expected="features with starttls",
        ),
        Turn(
            says=b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            frame=until(b">"),
            fault=begins(b"<proceed", otherwise=_REFUSED),
            expected="<proceed> to <starttls>",
        ),
    )


def _postgres(_name: str) -> tuple[Turn, ...]:
    """An SSLRequest (PostgreSQL, 54.7): one byte comes back, S or N."""
    return (
        Turn(
            says=struct.pack(">II", 8, 80877103),
            frame=exactly(1),
            fault=begins(b"S", otherwise=_REFUSED),
            expected="S to an SSLRequest",
        ),
    )


_MYSQL_SSL = 0x0800
_MYSQL_WANTED = 0x0200 | _MYSQL_SSL | 0x8000  # protocol 4.1, TLS, its kind of password


def _mysql(_name: str) -> tuple[Turn, ...]:
    """The server begins with its capabilities; an SSLRequest has no answer but the handshake."""
    body = struct.pack("<IIB23x", _MYSQL_WANTED, 1 << 24, 45)
    request = len(body).to_bytes(3, "little") + b"\x01" + body
    return (
        Turn(frame=mysql_packet, fault=_mysql_fault, expected="a greeting that offers TLS"),
        Turn(says=request, frame=silence, fault=begins(b""), expected="nothing"),
    )


def _mysql_fault(packet: bytes) -> ErrorType | None:
    version, _, rest = packet[4:].partition(b"\x00")
    if version[:1] != b"\x0a" or len(rest) < 15:
        return ErrorType.UNEXPECTED
    offered = int.from_bytes(rest[13:15], "little")
    return None if offered & _MYSQL_SSL else _REFUSED


def _ldap(_name: str) -> tuple[Turn, ...]:
    """An ExtendedRequest of RFC 4511, 4.14, with message id 1."""
    return (
        Turn(
            says=b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037",
            frame=ber_message,
            fault=_ldap_fault,
            expected="success to StartTLS",
        ),
    )


def _ldap_fault(message: bytes) -> ErrorType | None:
    """The answer begins: sequence, message id 1, ExtendedResponse, result code."""
    _, sequence = _content(message)
    tag, response = _content(sequence[3:])
    if message[:1] != b"\x30" or sequence[:3] != b"\x02\x01\x01" or tag != 0x78:
        return ErrorType.UNEXPECTED
    return None if response.startswith(b"\x0a\x01\x00") else _REFUSED


def _content(element: bytes) -> tuple[int | None, bytes]:
    """The tag and the content of the first BER element."""
    if len(element) < 2:
        return None, b""
    long = element[1] & 0x7F if element[1] & 0x80 else 0
    return element[0], element[2 + long :]


_DIALOGUES: dict[Starttls, Callable[[str], tuple[Turn, ...]]] = {
    "smtp": lambda _: (SMTP_GREETING, ehlo("uptimeo.invalid"), SMTP_STARTTLS),
    "imap": lambda _: (IMAP_GREETING, IMAP_STARTTLS),
    "pop3": lambda _: (POP3_GREETING, POP3_STARTTLS),
    "xmpp": _xmpp,
    "postgres": _postgres,
    "mysql": _mysql,
    "ldap": _ldap,
}
