"""Do agents hear each other over real sockets, and nobody else?"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest

from tests.support.fakes import LogBook
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.peer import PeerBook, Word
from uptimeo.leader.peer_wire import answer, question, seal, unseal
from uptimeo.leader.peers import Peers

VA = DatacenterId(1)
KEY = b"k" * 32
HOST = "127.0.0.1"
PATIENCE_S = 10.0


class Ear:
    """Collects what one agent hears, and says that it knows a term."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[Word] = asyncio.Queue()
        self.term = 0

    def asking_peers(self, others: int) -> None:
        """Nothing depends on it here."""

    def word(self) -> Word:
        return Word(answered_ago_s=0.5, term=self.term, holds=False)

    def hear(self, speaker: UUID, asked_at: float, word: Word) -> None:
        self.words.put_nowait(word)


@asynccontextmanager
async def talking(
    ear: Ear, term: int, *addresses: str, key: bytes = KEY, datacenter: DatacenterId = VA
) -> AsyncIterator[Peers]:
    """An agent that says it knows that term, while it runs."""
    ear.term = term
    peers = Peers(
        datacenter=datacenter,
        listen=(HOST, 0),
        book=PeerBook(key=key, addresses=addresses),
        candidacy=ear,
        log=LogBook().log,
    )
    await peers.open()
    loop = asyncio.ensure_future(peers.run())
    try:
        yield peers
    finally:
        loop.cancel()
        await asyncio.wait([loop])
        await peers.aclose()


def where(peers: Peers) -> str:
    address = peers.address(HOST)
    assert address is not None
    return address


async def heard(ear: Ear) -> Word:
    async with asyncio.timeout(PATIENCE_S):
        return await ear.words.get()


async def test_two_agents_hear_each_other_although_only_one_knows_the_other() -> None:
    mine, yours = Ear(), Ear()

    async with talking(yours, 2) as you, talking(mine, 1, where(you)) as me:
        said = (await heard(mine)).term, (await heard(yours)).term

        assert said == (2, 1)
        assert (me.heard(), you.heard()) == (1, 1)


@pytest.mark.parametrize(
    "other", [{"key": b"x" * 32}, {"datacenter": DatacenterId(2)}], ids=["key", "datacenter"]
)
async def test_an_agent_with_another_key_or_of_another_datacenter_is_not_heard(
    other: dict[str, object],
) -> None:
    stranger, mine, yours = Ear(), Ear(), Ear()

    async with talking(yours, 2) as you:
        async with (
            talking(stranger, 9, where(you), **other),  # type: ignore[arg-type]
            talking(mine, 1, where(you)),
        ):
            await heard(yours)
            await heard(mine)
            await heard(yours)  # the stranger has asked by now

        assert stranger.words.empty()
        assert you.heard() == 1


async def test_an_answer_that_was_not_asked_for_is_not_believed() -> None:
    mine, yours = Ear(), Ear()
    word = Word(answered_ago_s=0.0, term=99, holds=True)

    async with talking(yours, 2) as you, talking(mine, 1, where(you)) as me:
        forged = seal(answer(question(VA, uuid4(), "0" * 32), uuid4(), word), KEY)
        host, _, port = where(me).rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anyone:
            anyone.sendto(forged, (host, int(port)))
        said = [await heard(mine) for _ in range(2)]

    assert [each.term for each in said] == [2, 2]


async def test_an_answer_given_twice_counts_once() -> None:
    mine = Ear()
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((HOST, 0))
        other.setblocking(False)
        word = Word(answered_ago_s=0.0, term=7, holds=False)

        async with talking(mine, 1, f"{HOST}:{other.getsockname()[1]}"):
            for number in range(2):
                datagram, asker = await loop.sock_recvfrom(other, 2048)
                asked = unseal(datagram, KEY)
                assert asked is not None
                reply = seal(answer(asked, uuid4(), word), KEY)
                for _ in range(2 - number):
                    await loop.sock_sendto(other, reply, asker)
            await heard(mine)
            await heard(mine)

            assert mine.words.empty()


async def test_who_asked_is_known_as_well_as_who_is_in_the_book() -> None:
    mine, yours = Ear(), Ear()

    async with talking(yours, 2, "192.0.2.1:9") as you, talking(mine, 1, where(you)) as me:
        await heard(yours)

        assert you.known() == PeerBook(key=KEY, addresses=("192.0.2.1:9", where(me)))


async def test_an_agent_that_cannot_listen_says_so_and_has_no_address() -> None:
    ear = Ear()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        peers = Peers(
            datacenter=VA,
            listen=(HOST, taken.getsockname()[1]),
            book=None,
            candidacy=ear,
            log=LogBook().log,
        )

        await peers.open()

    assert peers.address(HOST) is None
