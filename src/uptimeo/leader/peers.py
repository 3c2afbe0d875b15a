"""What do the other agents of this datacenter say? The loop that asks them, and answers.

Each agent asks the others four times a second over UDP. Whoever cannot be heard says nothing.
"""

import asyncio
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Protocol
from uuid import UUID, uuid4

from uptimeo.clock import boottime
from uptimeo.domain.monitor import DatacenterId
from uptimeo.domain.peer import PeerBook, Word
from uptimeo.leader.peer_wire import Message, answer, question, seal, unseal
from uptimeo.telemetry import Log

_EVERY_S = 0.25
_AGAIN_S = 10.0
# An answer that takes longer says how things were, not how they are.
_WAIT_S = 1.0
_RECENT_S = 10.0
_STRANGERS_KEPT_S = 30.0
_MOST = 32

Address = tuple[str, int]


class Candidacy(Protocol):
    """The election, as seen from here. Nothing of it blocks."""

    def asking_peers(self, others: int) -> None:
        """So many others are asked now, as several times a second."""

    def word(self) -> Word:
        """What this agent says of itself."""

    def hear(self, speaker: UUID, asked_at: float, word: Word) -> None:
        """Another agent's answer to what it was asked at that moment of `boottime`."""


class Peers:
    """Talks with the agents in the book, and with those that ask and know the key."""

    def __init__(
        self,
        *,
        datacenter: DatacenterId,
        listen: Address | None,
        book: PeerBook | None,
        candidacy: Candidacy,
        log: Log,
    ) -> None:
        self._datacenter = datacenter
        self._listen = listen
        self._book = book
        self._candidacy = candidacy
        self._log = log
        self._speaker = uuid4()
        self._transport: asyncio.DatagramTransport | None = None
        self._asked: dict[str, float] = {}
        self._strangers: dict[Address, float] = {}
        self._heard: dict[UUID, float] = {}

    def meet(self, book: PeerBook) -> None:
        """Take up who is there, and the key."""
        self._book = book

    def address(self, facing_host: str) -> str | None:
        """Where this agent can be asked (host:port), `facing_host` if it listens on all addresses.

        None when it cannot be asked.
        """
        if self._transport is None:
            return None
        host, port = self._transport.get_extra_info("sockname")[:2]
        anywhere = ip_address(host.partition("%")[0]).is_unspecified
        return _written((facing_host if anywhere else host, port))

    def known(self) -> PeerBook | None:
        """Who is in the book, and who has asked lately."""
        if self._book is None:
            return None
        strangers = (_written(where) for where in self._strangers)
        addresses = dict.fromkeys((*self._book.addresses, *strangers))
        return PeerBook(key=self._book.key, addresses=tuple(addresses)[:_MOST])

    def heard(self) -> int:
        """How many others have answered in the last ten seconds."""
        since = boottime() - _RECENT_S
        return sum(at > since for at in self._heard.values())

    async def open(self) -> None:
        """Listen; a failure is told in the log, and `run` tries again."""
        if self._listen is None or self._transport is not None:
            return
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Ear(self._received), local_addr=self._listen
            )
        except OSError as error:
            self._log.peers_unavailable(f"{self._listen[0]}:{self._listen[1]}", error)
        else:
            self._transport = transport

    async def run(self) -> None:
        """Ask everyone, for ever."""
        opened_at = boottime()
        while True:
            now = boottime()
            if self._transport is None and now - opened_at > _AGAIN_S:
                opened_at = now
                await self.open()
            self._ask_all(now)
            await asyncio.sleep(_EVERY_S * random.uniform(0.9, 1.1))  # noqa: S311

    async def aclose(self) -> None:
        """Fall silent."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _ask_all(self, now: float) -> None:
        self._asked = {n: at for n, at in self._asked.items() if now - at < _WAIT_S}
        self._heard = {who: at for who, at in self._heard.items() if now - at < _RECENT_S}
        self._strangers = {
            where: at for where, at in self._strangers.items() if now - at < _STRANGERS_KEPT_S
        }
        others = self._others()
        self._candidacy.asking_peers(len(others))
        for where in others:
            number = secrets.token_hex(16)
            self._asked[number] = boottime()
            self._send(question(self._datacenter, self._speaker, number), where)

    def _others(self) -> set[Address]:
        if self._book is None or self._transport is None:
            return set()
        return {*map(_parsed, self._book.addresses[:_MOST]), *self._strangers}

    def _received(self, datagram: bytes, where: Address) -> None:
        message = None if self._book is None else unseal(datagram, self._book.key)
        if message is None or message.datacenter != self._datacenter:
            return
        if message.speaker == self._speaker:
            return
        word = message.word
        if word is None:
            self._asked_by(message, where)
            return
        asked_at = self._asked.pop(message.number, None)
        if asked_at is not None and boottime() - asked_at < _WAIT_S:
            self._heard[message.speaker] = asked_at
            self._candidacy.hear(message.speaker, asked_at, word)

    def _asked_by(self, message: Message, where: Address) -> None:
        """Answer, and ask back: a question alone proves nothing, it may be an old one."""
        if where in self._strangers or len(self._strangers) < _MOST:
            self._strangers[where] = boottime()
        self._send(answer(message, self._speaker, self._candidacy.word()), where)

    def _send(self, message: Message, where: Address) -> None:
        assert self._book is not None
        if self._transport is not None:
            with suppress(OSError):
                self._transport.sendto(seal(message, self._book.key), where)


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._received(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """Nobody there, or no route: the others' silence says it."""


def _parsed(address: str) -> Address:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _written(where: Address) -> str:
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
