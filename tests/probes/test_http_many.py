"""Does one probe serve many checks at a time, and give everything back?"""

import asyncio
import gc
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.http_checks import check_with, failure_of, milliseconds, up
from tests.support.servers import OK, Site, answering, mute, refusing, serve
from uptimeo.domain.result import ErrorType
from uptimeo.probes.http import HttpProbe

DELAY_S = 0.3


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_hundred_checks_of_a_slow_server_run_side_by_side() -> None:
    probe = HttpProbe()
    loop = asyncio.get_running_loop()

    async with serve(answering(OK, first_after_s=DELAY_S)) as server:
        started = loop.time()
        results = await asyncio.gather(
            *(check_with(probe, server.url(), timeout_ms=10_000) for _ in range(100))
        )
        took_s = loop.time() - started
    await probe.aclose()

    for result in results:
        assert milliseconds(up(result).phases.wait) >= DELAY_S * 1000 / 2
    assert took_s < 100 * DELAY_S / 5


async def test_a_slow_check_does_not_hold_up_a_fast_one() -> None:
    probe = HttpProbe()

    async with serve(mute) as slow, serve(Site()) as fast:
        waiting = asyncio.create_task(check_with(probe, slow.url(), timeout_ms=1000))
        result = up(await check_with(probe, fast.url()))
        assert not waiting.done()
        failure_of(await waiting, ErrorType.FIRST_BYTE_TIMEOUT)
    await probe.aclose()

    assert milliseconds(result.total_ms) < 500


async def test_two_hundred_checks_leave_no_descriptor_open() -> None:
    authority = Authority.new()
    probe = HttpProbe()
    with refusing() as refused:
        async with serve(Site()) as plain, serve(Site(), tls=authority.valid()) as secure:
            urls = [plain.url(), secure.url(), refused.url(), plain.url(host="localhost")]
            before = 0
            for number in range(210):
                await check_with(probe, urls[number % len(urls)], ca_pem=authority.pem)
                if number == 9:  # what is opened once, such as the resolver, is open by now
                    before = await settled_descriptors()

            assert await settled_descriptors() <= before + 2
    await probe.aclose()


async def settled_descriptors() -> int:
    """The count when the server, too, has closed its side of what has ended."""
    await asyncio.sleep(0.05)
    gc.collect()
    return open_descriptors()


async def test_a_cancelled_check_closes_its_connection() -> None:
    probe = HttpProbe()
    gone = asyncio.Event()
    reached = asyncio.Event()

    async def until_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reached.set()
        await reader.read()
        gone.set()

    async with serve(until_gone) as server:
        checking = asyncio.create_task(check_with(probe, server.url()))
        await reached.wait()
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking

        async with asyncio.timeout(2):
            await gone.wait()
    await probe.aclose()


async def test_closing_the_probe_cancels_the_checks_in_flight() -> None:
    probe = HttpProbe()

    async with serve(mute) as server:
        checking = asyncio.create_task(check_with(probe, server.url()))
        await asyncio.sleep(0.05)
        await probe.aclose()
        await asyncio.wait([checking], timeout=2)

    assert checking.cancelled()
