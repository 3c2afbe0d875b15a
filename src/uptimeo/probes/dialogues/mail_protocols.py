"""What is said to a mail server, and what are its answers? Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from uptimeo.probes.base import ErrorType
from uptimeo.probes.dialogues.dialogue import Turn, begins
from uptimeo.probes.dialogues.framing import imap_reply, line, pop3_list, smtp_reply
from uptimeo.probes.dialogues.starttls import (
    IMAP_GREETING,
    IMAP_STARTTLS,
    POP3_GREETING,
    POP3_STARTTLS,
    SMTP_GREETING,
    SMTP_STARTTLS,
    ehlo,
)

_MOST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class MailProtocol:
    """The turns of a check; `read` finds the capabilities in the answer to `capabilities`."""

    greeting: Turn
    starttls: tuple[Turn, ...]
    capabilities: Turn
    read: Callable[[bytes], tuple[str, ...]]
    farewell: Turn


def smtp(name: str) -> MailProtocol:
    """SMTP, in which we have to introduce ourselves with a name."""
    return MailProtocol(
        greeting=SMTP_GREETING,
        starttls=(ehlo(name), SMTP_STARTTLS),
        capabilities=ehlo(name),
        read=_smtp_capabilities,
        farewell=Turn(
            says=b"QUIT\r\n", frame=smtp_reply, fault=begins(b"221"), expected="221 to QUIT"
        ),
    )


def _lines(answer: bytes) -> list[str]:
    return answer.decode("utf-8", "replace").splitlines()


def _smtp_capabilities(answer: bytes) -> tuple[str, ...]:
    """The first line is the server's name."""
    return tuple(each[4:].strip() for each in _lines(answer)[1 : _MOST + 1])


def _imap_capabilities(answer: bytes) -> tuple[str, ...]:
    found = [each.split()[2:] for each in _lines(answer) if _is_capability(each)]
    return tuple(word for words in found for word in words)[:_MOST]


def _is_capability(text: str) -> bool:
    return text.upper().split()[:2] == ["*", "CAPABILITY"]


def _pop3_capabilities(answer: bytes) -> tuple[str, ...]:
    """An old server does not know CAPA: then none."""
    return tuple(each.strip() for each in _lines(answer)[1:] if each != ".")[:_MOST]


def _tagged_ok(answer: bytes) -> ErrorType | None:
    last = answer.splitlines()[-1]
    return None if last.startswith(b"u1 OK") else ErrorType.UNEXPECTED


IMAP = MailProtocol(
    greeting=IMAP_GREETING,
    starttls=(IMAP_STARTTLS,),
    capabilities=Turn(
        says=b"u1 CAPABILITY\r\n",
        frame=imap_reply(b"u1"),
        fault=_tagged_ok,
        expected="OK to CAPABILITY",
    ),
    read=_imap_capabilities,
    farewell=Turn(
        says=b"u2 LOGOUT\r\n", frame=imap_reply(b"u2"), fault=begins(b""), expected="BYE to LOGOUT"
    ),
)
POP3 = MailProtocol(
    greeting=POP3_GREETING,
    starttls=(POP3_STARTTLS,),
    capabilities=Turn(
        says=b"CAPA\r\n",
        frame=pop3_list,
        fault=begins(b"+OK", b"-ERR"),
        expected="+OK to CAPA",
    ),
    read=_pop3_capabilities,
    farewell=Turn(says=b"QUIT\r\n", frame=line, fault=begins(b"+OK"), expected="+OK to QUIT"),
)
