"""A service manager's end of NOTIFY_SOCKET: what a process told it, in order."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.support.agents import PATIENCE_S


class Told:
    """The states as they come, one for each line of a message."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self._grew = asyncio.Condition()

    def heard(self, state: str) -> int:
        """How often that was told."""
        return self.states.count(state)

    async def until(self, enough: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S), self._grew:
                await self._grew.wait_for(enough)
        except TimeoutError:
            raise AssertionError(f"{what} was not told, but {self.states[-20:]}") from None

    async def once(self, state: str) -> None:
        """Wait until it has been told."""
        await self.until(lambda: state in self.states, state)

    async def again(self, state: str, times: int = 1) -> None:
        """Wait until it has been told so many times more."""
        wanted = self.heard(state) + times
        await self.until(lambda: self.heard(state) >= wanted, f"{state} again")

    async def status(self, beginning: str) -> str:
        """Wait for a STATUS that begins so; the whole of it."""
        begins = f"STATUS={beginning}"
        await self.until(lambda: any(s.startswith(begins) for s in self.states), begins)
        return next(s for s in self.states if s.startswith(begins)).removeprefix("STATUS=")

    async def read(self, listening: socket.socket) -> None:
        """Take messages for ever."""
        loop = asyncio.get_running_loop()
        while True:
            message = await loop.sock_recv(listening, 4096)
            async with self._grew:
                self.states += message.decode().split("\n")
                self._grew.notify_all()


@asynccontextmanager
async def listening(address: str) -> AsyncIterator[Told]:
    """Listen there; a name in the abstract namespace begins with an @, as in NOTIFY_SOCKET."""
    told = Told()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.setblocking(False)
        ear.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        reading = asyncio.create_task(told.read(ear))
        try:
            yield told
        finally:
            reading.cancel()
