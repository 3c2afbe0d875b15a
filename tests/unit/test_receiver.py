"""What does a receiver allow its callers, and what does it say of itself?"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256

import pytest
from starlette.applications import Starlette

from tests.support.fakes import LogBook
from uptimeo.domain.errors import FatalError, TransientError
from uptimeo.domain.signal import SignalKind
from uptimeo.receiver.app import Call, read_path
from uptimeo.receiver.attendance import Attendance
from uptimeo.receiver.rates import Rate, RateLimit
from uptimeo.receiver.settings import read_receiver_settings
from uptimeo.serving import Bounds, Server

TOKEN = "abcdefghij_klmno-pqrst"
HASH = sha256(TOKEN.encode()).hexdigest()


@pytest.mark.parametrize(
    ("word", "kind", "status"),
    [
        ("", SignalKind.SUCCESS, None),
        ("start", SignalKind.START, None),
        ("fail", SignalKind.FAIL, None),
        ("0", SignalKind.EXIT, 0),
        ("255", SignalKind.EXIT, 255),
    ],
)
def test_a_path_says_what_happened(word: str, kind: SignalKind, status: int | None) -> None:
    assert read_path(TOKEN, word) == Call(HASH, kind, status)


@pytest.mark.parametrize(
    ("token", "word"),
    [(TOKEN, "256"), (TOKEN, "-1"), (TOKEN, "stop"), ("short", ""), (TOKEN + "%", ""), ("", "")],
)
def test_another_path_says_nothing(token: str, word: str) -> None:
    assert read_path(token, word) is None


def test_a_burst_is_allowed_and_then_so_many_a_second() -> None:
    limit = RateLimit(Rate(burst=3, per_s=2))

    assert [limit.allows("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert limit.allows("b", 0.0)
    assert [limit.allows("a", 0.5), limit.allows("a", 0.5)] == [True, False]
    assert [limit.allows("a", 60.0) for _ in range(4)] == [True, True, True, False]


def test_keys_are_forgotten_before_they_fill_the_memory() -> None:
    limit = RateLimit(Rate(burst=1, per_s=0))
    for number in range(20_001):
        limit.allows(str(number), 0.0)

    assert limit.allows("0", 0.0)
    assert not limit.allows("20000", 0.0)


class Book:
    """A table of stretches that may be out of reach."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[int | None] = []

    async def attend(self, receiver: str, stretch: int | None) -> int:
        self.asked.append(stretch)
        if self.away:
            raise TransientError("no route to host")
        return stretch or len(self.asked)


async def test_a_stretch_goes_on_until_a_signal_was_lost() -> None:
    book, log = Book(), LogBook()
    attendance = Attendance(book, "here", log.log)
    await attendance.tell()
    await attendance.tell()
    attendance.interrupt()
    lost = attendance.present
    await attendance.tell()

    assert book.asked == [None, 1, None]
    assert not lost
    assert attendance.present


async def test_a_signal_that_is_lost_while_the_book_is_written_ends_the_stretch_too() -> None:
    class Slow(Book):
        async def attend(self, receiver: str, stretch: int | None) -> int:
            attendance.interrupt()
            return await super().attend(receiver, stretch)

    attendance = Attendance(Slow(), "here", LogBook().log)
    await attendance.tell()

    assert not attendance.present


async def test_a_database_that_is_away_is_told_once_and_ends_the_stretch() -> None:
    book, log = Book(), LogBook()
    attendance = Attendance(book, "here", log.log)
    await attendance.tell()
    book.away = True
    await attendance.tell()
    await attendance.tell()
    away = attendance.present
    book.away = False
    await attendance.tell()

    assert not away
    assert book.asked == [None, 1, None, None]
    assert log.events() == ["receiver_unready", "receiver_ready"]


@asynccontextmanager
async def served(server: Server) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = asyncio.create_task(server.run_on(listening))
        yield listening.getsockname()[1]
        server.stop()
        await running


async def test_a_caller_who_does_not_come_to_the_point_is_hung_up_on() -> None:
    async with served(Server(Starlette(), Bounds(lifetime_s=0.2))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /ping HTTP/1.1\r\nX-Slow: ")
        received = b""
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                received = await reader.read()
        assert received == b""
        writer.close()


@pytest.mark.parametrize("address", ["8025", "host:", ":1", "host:99999", "host:x"])
def test_an_address_that_is_none_is_refused_with_its_variable(address: str) -> None:
    with pytest.raises(FatalError, match="UPTIMEO_RECEIVE_ADDRESS"):
        read_receiver_settings({"UPTIMEO_RECEIVE_ADDRESS": address})


def test_the_ping_url_is_the_public_one_or_that_of_the_address() -> None:
    public = read_receiver_settings({"UPTIMEO_RECEIVE_URL": "https://ping.example/"})
    local = read_receiver_settings({"UPTIMEO_RECEIVE_ADDRESS": "[::1]:80"})

    assert public.ping_url("t") == "https://ping.example/ping/t"
    assert local.ping_url("t") == "http://[::1]:80/ping/t"
    assert read_receiver_settings({}).ping_url("t") == "http://127.0.0.1:8025/ping/t"
    with pytest.raises(FatalError, match="UPTIMEO_RECEIVE_URL"):
        read_receiver_settings({"UPTIMEO_RECEIVE_URL": "ping.example"})
