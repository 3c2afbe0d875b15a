"""Does the demo target behave as its monitors say, and does it end when it should?"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.support.http_checks import assert_accounted
from uptimeo.demo.monitors import DEMO_SCHEDULES, DemoMonitor, DemoTarget, demo_monitors
from uptimeo.demo.process import DemoProcess
from uptimeo.domain.errors import FatalError
from uptimeo.domain.result import ErrorType, ProbeResult
from uptimeo.probes.base import ProbeContext
from uptimeo.probes.http import HttpOptions, HttpProbe

EXPECTED = {
    "demo: fast": None,
    "demo: slow first byte": None,
    "demo: slow body": None,
    "demo: two redirects": None,
    "demo: POST with a JSON body": None,
    "demo: TLS with a private CA": None,
    "demo: not JSON": None,
    "demo: large body": None,
    "demo: always failing": ErrorType.HTTP_STATUS,
    "demo: too large body": ErrorType.BODY_TOO_LARGE,
    "demo: closes without an answer": ErrorType.EMPTY_RESPONSE,
    "demo: never answers": ErrorType.FIRST_BYTE_TIMEOUT,
    "demo: untrusted certificate": ErrorType.TLS_UNTRUSTED,
    "demo: refused port": ErrorType.CONNECT_REFUSED,
    "demo: unknown name": ErrorType.DNS,
}
FLAKY = "demo: flaky"
NOWHERE = DemoTarget(http_port=1, https_port=2, closed_port=3, ca_pem="")


@pytest.fixture
async def demo() -> AsyncIterator[DemoProcess]:
    process = await DemoProcess.start()
    try:
        yield process
    finally:
        await process.stop()


async def check(probe: HttpProbe, monitor: DemoMonitor) -> ProbeResult:
    options = HttpOptions(
        url=monitor.url,
        method=monitor.method,
        headers=dict(monitor.headers or {}),
        body=monitor.body,
        **monitor.options,
    )
    result = await probe.probe(options, ProbeContext(timeout_ms=monitor.timeout_ms or 5000))
    assert_accounted(result)
    return result


async def test_every_monitor_sees_what_its_name_says(demo: DemoProcess) -> None:
    probe = HttpProbe()
    monitors = [m for m in demo_monitors(demo.target) if m.name != FLAKY]
    results = dict(
        zip(
            [m.name for m in monitors],
            await asyncio.gather(*(check(probe, m) for m in monitors)),
            strict=True,
        )
    )
    await probe.aclose()

    kinds = {name: r.failure.type if r.failure else None for name, r in results.items()}
    assert kinds == EXPECTED
    assert (results["demo: slow first byte"].phases.wait or 0) >= 340
    assert (results["demo: slow body"].phases.transfer or 0) >= 380
    assert results["demo: two redirects"].phases.redirect is not None
    echo = results["demo: POST with a JSON body"].exchange
    assert echo is not None
    assert b"greeting" in echo.body_start
    assert b"X-Demo" in echo.body_start


async def test_the_flaky_page_soon_shows_both_faces(demo: DemoProcess) -> None:
    probe = HttpProbe()
    (flaky,) = [m for m in demo_monitors(demo.target) if m.name == FLAKY]
    results = [await check(probe, flaky) for _ in range(5)]
    await probe.aclose()

    assert Counter(r.failure is None for r in results) == {True: 3, False: 2}


async def test_the_target_is_gone_after_it_was_stopped() -> None:
    process = await DemoProcess.start()
    os.kill(process.pid, 0)

    await process.stop()
    await process.stop()

    assert process.child.process.returncode == 0  # it ended by itself and was not killed
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_the_target_ends_when_it_is_told_to_terminate() -> None:
    process = await DemoProcess.start()

    os.kill(process.pid, signal.SIGTERM)
    async with asyncio.timeout(5):
        assert await process.child.process.wait() == 0
    await process.stop()


async def test_a_target_that_does_not_start_is_a_fatal_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(FatalError, match="before it listened"):
        await DemoProcess.start()


async def test_clients_that_misbehave_leave_no_trace_in_its_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    process = await DemoProcess.start()
    ports = (process.target.http_port, process.target.https_port)
    rude = (b"", b"GET", b"\x16\x03\x01\x00", b"\xff" * 100_000, b"GET /stalled HTTP/1.1\r\n\r\n")

    for port in ports:
        for first in (*rude, b"\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(first)
            await asyncio.sleep(0.01)
            writer.transport.abort()
    await process.stop()

    assert capfd.readouterr() == ("", "")


def test_every_monitor_names_a_schedule_and_fits_its_columns() -> None:
    schedules = {schedule.name for schedule in DEMO_SCHEDULES}

    monitors = demo_monitors(NOWHERE)

    assert {m.schedule for m in monitors} == schedules
    assert len({m.name for m in monitors}) == len(monitors)
    assert all(m.name.startswith("demo: ") and len(m.name) <= 100 for m in monitors)
    assert all(len(name) <= 50 for name in schedules)
    assert {m.name for m in monitors} == {*EXPECTED, FLAKY}
