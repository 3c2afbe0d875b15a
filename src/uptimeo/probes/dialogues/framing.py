"""Where does an answer end in what was received so far? Pure.

Each function answers with the length of the first whole answer, or None while it is not whole.
What cannot be such an answer is whole as it is: whoever reads it will say what is wrong with it.
"""

from collections.abc import Callable

Frame = Callable[[bytes], int | None]


def line(received: bytes) -> int | None:
    """One line."""
    return received.find(b"\n") + 1 or None


def until(*ends: bytes) -> Frame:
    """Up to and with the first of these."""

    def frame(received: bytes) -> int | None:
        found = [at + len(end) for end in ends if (at := received.find(end)) >= 0]
        return min(found, default=None)

    return frame


def silence(_received: bytes) -> int:
    """No answer."""
    return 0


def exactly(size: int) -> Frame:
    """So many bytes."""
    return lambda received: size if len(received) >= size else None


def smtp_reply(received: bytes) -> int | None:
    """Lines up to the first without a `-` after its code (RFC 5321, 4.2.1)."""
    at = 0
    while (end := received.find(b"\n", at)) >= 0:
        if received[at + 3 : at + 4] != b"-" or not received[at : at + 3].isdigit():
            return end + 1
        at = end + 1
    return None


def imap_reply(tag: bytes) -> Frame:
    """Lines up to the one with our tag, or to the server's BYE (RFC 3501, 7)."""

    def frame(received: bytes) -> int | None:
        at = 0
        while (end := received.find(b"\n", at)) >= 0:
            if received.startswith((tag + b" ", b"* BYE"), at):
                return end + 1
            at = end + 1
        return None

    return frame


def pop3_list(received: bytes) -> int | None:
    """A line, and after `+OK` more of them up to a single dot (RFC 1939, 3)."""
    if not received.startswith(b"+OK"):
        return line(received)
    found = received.find(b"\n.\r\n")
    return None if found < 0 else found + 4


def mysql_packet(received: bytes) -> int | None:
    """Three bytes of length, one of sequence, and the payload."""
    if len(received) < 4:
        return None
    return exactly(4 + int.from_bytes(received[:3], "little"))(received)


def ber_message(received: bytes) -> int | None:
    """A tag, a length in one or more bytes, and the content."""
    if len(received) < 2:
        return None
    head, size = 2, received[1]
    if size & 0x80:
        head += size & 0x7F
        size = int.from_bytes(received[2:head], "big")
    return exactly(head + size)(received) if len(received) >= head else None
