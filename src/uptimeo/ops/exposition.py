"""How is the answer to a scrape made without being in the way of checks?"""

import asyncio
import zlib
from collections.abc import Callable, Sequence

from uptimeo.ops.facts import AgentFacts
from uptimeo.ops.metrics import OwnMetrics
from uptimeo.ops.probe_metrics import FAMILIES
from uptimeo.ops.results import Results
from uptimeo.ops.series import pieces

# Whoever asks again within this time is told the same.
_FRESH_S = 1.0
_FAST = 1
_GZIP = 31  # zlib's word for the format and the largest window


class Exposition:
    """Makes the text a little at a time, once for all who ask within a second."""

    def __init__(
        self,
        *,
        facts: Callable[[], AgentFacts],
        term: Callable[[], int | None],
        own: OwnMetrics,
        results: Results,
    ) -> None:
        self._facts = facts
        self._term = term
        self._own = own
        self._results = results
        self._one_at_a_time = asyncio.Lock()
        self._made_at = float("-inf")
        self._plain: Sequence[bytes] = ()
        self._packed: Sequence[bytes] | None = None

    async def text(self) -> Sequence[bytes]:
        """The metrics in the text format, in pieces: to send megabytes at once takes long too."""
        async with self._one_at_a_time:
            await self._renew()
            return self._plain

    async def packed(self) -> Sequence[bytes]:
        """The same, with gzip: a thousand monitors make four megabytes."""
        async with self._one_at_a_time:
            await self._renew()
            if self._packed is None:
                # A thread, and there the work is zlib's, which lets the loop have its turn.
                self._packed = await asyncio.to_thread(_pack, self._plain)
            return self._packed

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._made_at < _FRESH_S:
            return
        parts = [self._own.text(self._facts()).encode()]
        for piece in pieces(FAMILIES, self._results.shown(self._term())):
            parts.append(piece.encode())
            await asyncio.sleep(0)  # checks have their turn
        self._plain, self._packed = parts, None
        self._made_at = loop.time()


def _pack(parts: Sequence[bytes]) -> Sequence[bytes]:
    packer = zlib.compressobj(_FAST, wbits=_GZIP)
    return [*map(packer.compress, parts), packer.flush()]
