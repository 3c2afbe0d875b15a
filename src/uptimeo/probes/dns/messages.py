"""What is a DNS server asked, and what does it answer? Pure; the only importer of dnspython."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.serial
from dns.rdtypes.ANY.SOA import SOA

from uptimeo.domain.text import one_line

HEADER_BYTES = 12
_PAYLOAD_BYTES = 1232  # what passes without fragments everywhere (DNS flag day 2020)
_MAX_TEXT = 200
_COUNTS = struct.Struct("!3H")
# Of the third and fourth byte: is it an answer to a plain query, cut short, and with which code?
_IS_ANSWER, _ANSWER, _TRUNCATED, _RCODE = 0xF8, 0x80, 0x02, 0x0F
_WITHOUT_QUESTION = frozenset({1, 2, 4, 5})  # FORMERR, SERVFAIL, NOTIMP, REFUSED
_UNREADABLE = (dns.exception.DNSException, ValueError, IndexError, struct.error)


class UnreadableError(Exception):
    """What came is no answer to the question; the message says in what respect."""


class TooLargeError(Exception):
    """An answer with more records than are read; the message says how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked; `kind` is a type of records by name."""

    name: str
    kind: str
    recursion: bool = True
    dnssec: bool = False
    authenticated: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """The data of a record: `text` for people, `digest` to compare by."""

    text: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said. `records` are those of the wanted type, at the end of any CNAMEs.

    `serial` is that of a SOA record; `errors` are extended ones (RFC 8914).
    """

    rcode: str
    flags: str
    records: tuple[Record, ...]
    serial: int | None = None
    errors: tuple[str, ...] = ()

    def has(self, flag: str) -> bool:
        """Whether a flag such as "AD" is set."""
        return flag in self.flags.split()


class Query:
    """A question with an id of its own, ready to send."""

    def __init__(self, question: Question, identifier: int, max_records: int) -> None:
        flags = dns.flags.Flag.RD if question.recursion else dns.flags.Flag(0)
        if question.authenticated:
            flags |= dns.flags.AD
        self.question = question
        self._max_records = max_records
        message = dns.message.make_query(
            _name(question.name),
            dns.rdatatype.from_text(question.kind),
            use_edns=True,
            want_dnssec=question.dnssec,
            payload=_PAYLOAD_BYTES,
            id=identifier,
            flags=flags,
        )
        self.wire = message.to_wire()
        name = _name(question.name).to_wire()
        assert name is not None
        self._asked = self.wire[HEADER_BYTES : HEADER_BYTES + len(name) + 4].lower()

    def read(self, wire: bytes) -> Answer | None:
        """The answer to this question; None if it was cut short, and TCP has the whole of it.

        Raises UnreadableError for anything else, and TooLargeError.
        """
        self._assert_ours(wire)
        if wire[2] & _TRUNCATED:
            return None
        if (records := sum(_COUNTS.unpack_from(wire, 6))) > self._max_records:
            raise TooLargeError(f"{records} records, more than the limit {self._max_records}")
        try:
            return self._answer(dns.message.from_wire(wire, ignore_trailing=True))
        except _UNREADABLE as error:
            text = one_line(str(error) or type(error).__name__, _MAX_TEXT)
            raise UnreadableError(f"what cannot be read: {text}") from error

    def _assert_ours(self, wire: bytes) -> None:
        """Before anything else is read of it: it may be forged, and large."""
        if len(wire) < HEADER_BYTES:
            raise UnreadableError(f"{len(wire)} bytes, too few for an answer")
        if wire[:2] != self.wire[:2]:
            raise UnreadableError("an answer with another id")
        if wire[2] & _IS_ANSWER != _ANSWER:
            raise UnreadableError("no answer")
        asked = int.from_bytes(wire[4:6], "big")
        if asked == 0 and wire[3] & _RCODE in _WITHOUT_QUESTION:
            return
        end = HEADER_BYTES + len(self._asked)
        if asked != 1 or wire[HEADER_BYTES:end].lower() != self._asked:
            raise UnreadableError("an answer to another question")

    def _answer(self, reply: dns.message.Message) -> Answer:
        records = [record for each in self._wanted(reply) for record in each]
        serials = [each.serial for each in records if isinstance(each, SOA)]
        return Answer(
            rcode=dns.rcode.to_text(reply.rcode()),
            flags=dns.flags.to_text(reply.flags),
            records=tuple(Record(each.to_text(), each.to_digestable()) for each in records),
            serial=serials[0] if serials else None,
            errors=tuple(one_line(each.to_text(), _MAX_TEXT) for each in reply.extended_errors()),
        )

    def _wanted(self, reply: dns.message.Message) -> Iterable[dns.rrset.RRset]:
        if self.question.kind == "ANY":
            return reply.answer
        if not isinstance(reply, dns.message.QueryMessage) or reply.rcode() != dns.rcode.NOERROR:
            return ()
        end = reply.resolve_chaining().answer
        return () if end is None else (end,)


def checked_name(name: str) -> str:
    """The name, if it can be asked for; ValueError says why not."""
    _name(name)
    return name


def checked_kind(kind: str) -> str:
    """The type of records, by its usual name; ValueError if there is none."""
    try:
        found = dns.rdatatype.from_text(kind)
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"{kind!r} is no type of DNS records") from error
    if dns.rdatatype.is_metatype(found) and found is not dns.rdatatype.ANY:
        raise ValueError(f"{kind!r} is a type that cannot be asked for")
    return dns.rdatatype.to_text(found)


def checked_rcode(rcode: str) -> str:
    """The response code, by its usual name; ValueError if there is none."""
    try:
        return dns.rcode.to_text(dns.rcode.from_text(rcode))
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"{rcode!r} is no response code of DNS") from error


def record(kind: str, text: str) -> Record:
    """A record as zone files have it, names without an end being whole. Raises ValueError."""
    try:
        data = dns.rdata.from_text(
            dns.rdataclass.IN,
            dns.rdatatype.from_text(kind),
            text,
            origin=dns.name.root,
            relativize=False,
        )
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"{text!r} is no {kind} record: {error}") from error
    return Record(data.to_text(), data.to_digestable())


def is_older(serial: int, than: int) -> bool:
    """Whether a serial comes before another one; they wrap around (RFC 1982)."""
    return bool(dns.serial.Serial(serial) < dns.serial.Serial(than))


def _name(text: str) -> dns.name.Name:
    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ValueError(f"{text!r} is no name that DNS can be asked for: {error}") from error
