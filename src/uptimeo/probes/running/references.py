"""Is it the target that is gone, or our own network? Asked of addresses that the operator chose."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

_TIMEOUT_S = 1.0
_EVERY_S = 1.0


class References:
    """Tells an isolated datacenter from a failing target. Without references, never isolated.

    A reference is a host and a TCP port that answer as long as the network does.
    """

    def __init__(self, references: Sequence[tuple[str, int]]) -> None:
        self._references = tuple(references)
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._isolated = False
        self._isolated_at = float("-inf")

    async def run(self) -> None:
        """Ask every second, for ever, so that a network that went and came back is noticed."""
        while True:
            await self._ask(time.monotonic())
            await asyncio.sleep(_EVERY_S)

    async def isolated_since(self, moment: float) -> bool:
        """Whether not one reference accepted a connection, now or at a time since the moment.

        `moment` is on the monotonic clock: when the check began that has failed. A check that
        timed out may have met a network that is back by now.
        """
        return await self._ask(time.monotonic()) or self._isolated_at >= moment

    async def _ask(self, now: float) -> bool:
        """An answer from before the question is no answer; all who wait share the next one."""
        if not self._references:
            return False
        async with self._asking:
            if self._asked_at < now:
                self._asked_at = time.monotonic()
                answers = await asyncio.gather(*(_answers(*each) for each in self._references))
                self._isolated = not any(answers)
                if self._isolated:
                    self._isolated_at = time.monotonic()
            return self._isolated


async def _answers(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
