"""Is the end of an answer found the same way, in whatever pieces it comes, and in any bytes?"""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uptimeo.probes.dialogues.framing import (
    Frame,
    ber_message,
    exactly,
    imap_reply,
    line,
    mysql_packet,
    pop3_list,
    smtp_reply,
    until,
)
from uptimeo.probes.dialogues.mail_protocols import IMAP, POP3, smtp
from uptimeo.probes.dialogues.starttls import Starttls, dialogue

FRAMES: dict[str, Frame] = {
    "line": line,
    "until": until(b"</a>", b"<b/>", b">>"),
    "exactly": exactly(3),
    "smtp": smtp_reply,
    "imap": imap_reply(b"a1"),
    "pop3": pop3_list,
    "mysql": mysql_packet,
    "ber": ber_message,
}
# Bytes that mean something to one of them more often than by chance.
WORDS = (b"\n", b"\r\n", b"220-", b"250 ", b"a1 OK", b"* ", b"+OK", b".", b"</a>", b"<b/>", b"0")
TALK = st.lists(st.sampled_from(WORDS) | st.binary(max_size=4), max_size=20).map(b"".join)


@pytest.mark.parametrize("name", FRAMES)
@given(received=TALK)
def test_the_end_does_not_depend_on_what_follows(name: str, received: bytes) -> None:
    frame = FRAMES[name]
    ends = [frame(received[:size]) for size in range(len(received) + 1)]
    first = next((end for end in ends if end is not None), None)

    assert all(end in (None, first) for end in ends)
    assert ends[-1] == first
    assert first is None or first <= len(received)


@pytest.mark.parametrize(
    ("name", "received", "end"),
    [
        ("line", b"one\ntwo", 4),
        ("smtp", b"250-a\r\n250-b\r\n250 c\r\nmore", 21),
        ("smtp", b"250-a\r\n", None),
        ("smtp", b"nonsense\n", 9),
        ("imap", b"* one\r\n* two\r\na1 OK\r\n", 21),
        ("imap", b"* BYE\r\n", 7),
        ("pop3", b"+OK\r\na\r\n.\r\nmore", 11),
        ("pop3", b"+OK\r\n.\r\n", 8),
        ("pop3", b"-ERR\r\nmore", 6),
        ("mysql", b"\x02\x00\x00\x00ab", 6),
        ("mysql", b"\x02\x00\x00\x00a", None),
        ("ber", b"\x30\x02abc", 4),
        ("ber", b"\x30\x81\x02ab", 5),
        ("ber", b"\x30\x82\x00", None),
    ],
)
def test_an_answer_ends_where_its_protocol_says(
    name: str, received: bytes, end: int | None
) -> None:
    assert FRAMES[name](received) == end


@given(answer=TALK)
def test_no_answer_is_too_strange_to_be_judged(answer: bytes) -> None:
    turns = [turn for protocol in get_args(Starttls) for turn in dialogue(protocol, "example.org")]
    for mail in (smtp("example.org"), IMAP, POP3):
        turns += [mail.greeting, *mail.starttls, mail.capabilities, mail.farewell]
        mail.read(answer)
    for turn in turns:
        if (end := turn.frame(answer)) is not None:
            turn.fault(answer[:end])


def test_a_name_cannot_break_out_of_the_words_of_xmpp() -> None:
    opening = dialogue("xmpp", "a' xmlns='evil'>")[0].says

    assert b"""to="a' xmlns='evil'&gt;\"""" in opening
