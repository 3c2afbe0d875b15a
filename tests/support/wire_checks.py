"""How does a test check a port once, and what does it meet there?"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.servers import Script
from uptimeo.domain.result import ErrorType, Failure, ProbeResult
from uptimeo.probes.base import Probe, ProbeContext

Exchange = tuple[bytes, bytes]


async def check(
    probe: Probe[Any], url: str, *, timeout_ms: int = 3000, **options: Any
) -> ProbeResult:
    """The result of one check, after its figures were found consistent."""
    given = probe.options.model_validate({"url": url, **options})
    result = await probe.probe(given, ProbeContext(timeout_ms=timeout_ms))
    assert result.total_ms is not None
    assert result.other_ms is not None
    assert abs(result.phases.total() + result.other_ms - result.total_ms) <= 0.01
    return result


def failure_of(result: ProbeResult, expected: ErrorType) -> Failure:
    """The failure, which has to be of that type."""
    assert result.failure is not None, f"expected {expected}, and the check succeeded"
    assert result.failure.type is expected, result.failure
    return result.failure


def up(result: ProbeResult) -> ProbeResult:
    """The result, which has to be a success."""
    assert result.failure is None, result.failure
    return result


class Talker:
    """A server that says `first`, then answers each line by how it begins.

    After the line that begins with `upgrade` it begins TLS. `heard` are the lines of all clients.
    """

    def __init__(
        self,
        first: bytes,
        answers: Mapping[bytes, bytes],
        *,
        upgrade: bytes | None = None,
        tls: ssl.SSLContext | None = None,
        pieces: int = 65_536,
    ) -> None:
        self.heard: list[bytes] = []
        self._first = first
        self._answers = answers
        self._upgrade = upgrade
        self._tls = tls
        self._pieces = pieces

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        await self._say(writer, self._first)
        while line := await reader.readline():
            self.heard.append(line)
            said = [answer for start, answer in self._answers.items() if line.startswith(start)]
            await self._say(writer, *said)
            if self._upgrade is not None and line.startswith(self._upgrade) and self._tls:
                await writer.start_tls(self._tls)

    async def _say(self, writer: asyncio.StreamWriter, *said: bytes) -> None:
        for text in said:
            for at in range(0, len(text), self._pieces):
                writer.write(text[at : at + self._pieces])
                await writer.drain()
                await asyncio.sleep(0)


def dripping(parts: Sequence[bytes], stay: bool = True) -> Script:
    """Say the parts, each in a packet of its own, then wait for the client or leave."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.002)  # a moment in which the packet leaves alone
        if stay:
            await reader.read()

    return script


def echoing(*answers: bytes) -> Script:
    """To each thing that is said, the next of the answers."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if not await reader.read(65_536):
                return
            writer.write(answer)
            await writer.drain()
        await reader.read()

    return script
