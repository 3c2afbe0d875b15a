"""How many checks may be at one host at a time?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class HostPlaces:
    """So many places for each host; who finds none waits, in the order of coming."""

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._places: dict[str, asyncio.Semaphore] = {}
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def place(self, target: str, patience_s: float) -> AsyncIterator[bool]:
        """Holds a place at the target's host; False if none came free within the patience."""
        host = _host(target)
        places = self._places.setdefault(host, asyncio.Semaphore(self._per_host))
        self._users[host] = self._users.get(host, 0) + 1
        try:
            got = await _acquired(places, patience_s)
            try:
                yield got
            finally:
                if got:
                    places.release()
        finally:
            self._users[host] -= 1
            if not self._users[host]:
                del self._users[host], self._places[host]


async def _acquired(places: asyncio.Semaphore, patience_s: float) -> bool:
    if not places.locked():
        await places.acquire()
        return True
    try:
        async with asyncio.timeout(patience_s):
            await places.acquire()
    except TimeoutError:
        return False
    return True


def _host(target: str) -> str:
    """The host of a URL; of anything else all of it."""
    try:
        return (urlsplit(target).hostname or target).lower()
    except ValueError:
        return target
