"""Is it the target that is gone, or our own network? Asked of addresses that the operator chose."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

_TIMEOUT_S = 1.0


class References:
    """Tells an isolated datacenter from a failing target. Without references, never isolated.

    A reference is a host and a TCP port that answer as long as the network does.
    """

    def __init__(self, references: Sequence[tuple[str, int]]) -> None:
        self._references = tuple(references)
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._isolated = False

    async def isolated(self) -> bool:
        """Whether not one reference accepts a connection within a second, from now on.

        An answer from before the question is no answer: the network may have gone in between.
        All who ask while one question is under way share the next.
        """
        if not self._references:
            return False
        since = time.monotonic()
        async with self._asking:
            if self._asked_at < since:
                self._asked_at = time.monotonic()
                answers = await asyncio.gather(*(_answers(*each) for each in self._references))
                self._isolated = not any(answers)
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
