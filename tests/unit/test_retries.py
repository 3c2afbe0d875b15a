"""Is a failure confirmed within its slot, without a second heartbeat and without a false one?"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.support.builders import NOON, check, failed, monitor, result
from tests.support.virtual_time import in_virtual_time, running_loop
from tests.unit.test_runner import Bench, fail, failure_type, hang, raise_value_error, succeed
from uptimeo.domain.heartbeat import Heartbeat
from uptimeo.domain.monitor import Thresholds
from uptimeo.domain.result import ErrorType, ProbeResult
from uptimeo.domain.verdict import Status

Step = Callable[[], Awaitable[Any]]


def script(*steps: Step) -> Step:
    """One step for each try; the last one is repeated."""
    left = list(steps)

    async def does() -> Any:
        return await (left.pop(0) if len(left) > 1 else left[0])()

    return does


def slow_failure(bench: Bench) -> Step:
    """A target that is waited for up to four seconds."""

    async def does() -> ProbeResult:
        _, context = bench.probe.asked[-1]
        await asyncio.sleep(min(4, context.timeout_ms / 1000))
        return failed(ErrorType.CONNECT_TIMEOUT)

    return does


async def run(bench: Bench, *steps: Step, **changes: Any) -> Heartbeat:
    return await bench.run(script(*steps), monitor=monitor(**changes))


def reasons(beat: Heartbeat) -> list[ErrorType]:
    return [attempt.failure.type for attempt in beat.failed_attempts]


@in_virtual_time
async def test_without_retries_a_failure_is_the_answer() -> None:
    bench = Bench()

    beat = await run(bench, fail, succeed)

    assert (beat.status, beat.attempts, reasons(beat)) == (Status.DOWN, 1, [])


@in_virtual_time
async def test_a_success_after_a_failure_is_up_and_keeps_the_reason() -> None:
    bench = Bench()

    beat = await run(bench, fail, succeed, retries=2, retry_delay_ms=1500)

    assert (beat.status, beat.attempts) == (Status.UP, 2)
    assert reasons(beat) == [ErrorType.CONNECT_REFUSED]
    assert beat.executed_at == NOON + timedelta(milliseconds=30)
    assert bench.clock.now() - beat.executed_at == timedelta(milliseconds=1500)


@in_virtual_time
async def test_a_failure_is_down_when_every_try_has_failed() -> None:
    bench = Bench()

    beat = await run(bench, fail, retries=2)

    assert (beat.status, beat.attempts) == (Status.DOWN, 3)
    assert reasons(beat) == [ErrorType.CONNECT_REFUSED] * 2


@pytest.mark.parametrize("does", [raise_value_error, hang])
@in_virtual_time
async def test_a_fault_of_ours_is_not_tried_again(does: Step) -> None:
    beat = await run(Bench(), does, succeed, retries=2)

    assert (beat.status, beat.attempts) == (Status.UNKNOWN, 1)


@in_virtual_time
async def test_tries_end_with_their_slot() -> None:
    bench = Bench()

    does = slow_failure(bench)
    beat = await run(bench, does, interval_s=10, timeout_ms=5000, retries=10)

    assert (beat.status, beat.attempts) == (Status.DOWN, 3)
    assert bench.clock.now() <= NOON + timedelta(seconds=10)
    assert [context.timeout_ms for _, context in bench.probe.asked] == [5000, 5000, 1970]


@in_virtual_time
async def test_a_later_try_has_what_is_left_of_the_slot() -> None:
    bench = Bench()

    does = slow_failure(bench)
    await run(bench, does, interval_s=10, timeout_ms=9000, retries=1, retry_delay_ms=500)

    assert [context.timeout_ms for _, context in bench.probe.asked] == [9000, 5470]


@in_virtual_time
async def test_no_try_begins_without_permission() -> None:
    bench = Bench()

    async def fail_and_lose_the_lease() -> ProbeResult:
        bench.permitted = None
        return failed()

    beat = await run(bench, fail_and_lose_the_lease, succeed, retries=1)

    assert (beat.status, beat.attempts) == (Status.DOWN, 1)


@in_virtual_time
async def test_a_stop_between_two_tries_leaves_one_heartbeat_with_the_reason() -> None:
    bench = Bench()
    bench.probe.does = fail
    waiting = check(monitor=monitor(retries=1, retry_delay_ms=10_000))
    running = asyncio.create_task(bench.runner.run(waiting))
    await asyncio.sleep(1)

    running.cancel()
    await asyncio.wait({running})

    (beat,) = bench.emitted
    assert failure_type(beat) is ErrorType.STOPPED


@in_virtual_time
async def test_checks_of_one_host_wait_for_a_place_and_the_wait_is_ours() -> None:
    bench = Bench(per_host=1)

    async def take_half_a_second() -> ProbeResult:
        await asyncio.sleep(0.5)
        return result()

    bench.probe.does = take_half_a_second
    await asyncio.gather(*(bench.runner.run(check(number)) for number in (1, 2)))

    assert [beat.status for beat in bench.emitted] == [Status.UP, Status.UP]
    waits = [beat.executed_at - beat.scheduled_at for beat in bench.emitted]
    assert [wait.total_seconds() for wait in waits] == pytest.approx([0.03, 0.53], abs=0.001)


@in_virtual_time
async def test_who_finds_no_place_in_time_is_skipped_and_another_host_is_not() -> None:
    bench = Bench(per_host=1)
    bench.probe.does = hang
    elsewhere = monitor(3, target="https://other.example/")
    waiting = [check(1), check(2), check(monitor=elsewhere)]
    running = [asyncio.create_task(bench.runner.run(each)) for each in waiting]
    await asyncio.sleep(1.5)

    assert [(b.monitor.id, failure_type(b)) for b in bench.emitted] == [(2, ErrorType.SKIPPED_HOST)]
    assert len(bench.probe.asked) == 2
    await asyncio.wait(running)


@in_virtual_time
async def test_after_a_wait_no_check_starts_without_permission() -> None:
    bench = Bench(per_host=1)

    async def lose_the_lease() -> ProbeResult:
        await asyncio.sleep(0.5)
        bench.permitted = None
        return result()

    bench.probe.does = lose_the_lease
    await asyncio.gather(*(bench.runner.run(check(number)) for number in (1, 2)))

    assert [beat.monitor.id for beat in bench.emitted] == [1]


async def sampled(bench: Bench, does: Step, **changes: Any) -> Heartbeat:
    """The heartbeat of a check while the loop's lateness is sampled."""
    sampling = asyncio.create_task(bench.lag.run())
    await asyncio.sleep(0.1)
    try:
        return await run(bench, does, **changes)
    finally:
        sampling.cancel()


def stalling(seconds: float, then: ProbeResult) -> Step:
    """A check during which our own loop stands still for that long."""

    async def does() -> ProbeResult:
        await asyncio.sleep(0.05)
        running_loop().pass_time(seconds)
        await asyncio.sleep(0.05)
        return then

    return does


@in_virtual_time
async def test_a_check_without_a_stall_is_not_marked() -> None:
    assert (await sampled(Bench(), stalling(0.015, result()))).lag_ms is None


@in_virtual_time
async def test_a_check_during_a_stall_is_marked_with_its_length() -> None:
    beat = await sampled(Bench(), stalling(0.2, result()))

    assert beat.lag_ms == pytest.approx(200, abs=15)


@in_virtual_time
async def test_a_target_is_not_slow_for_the_time_in_which_we_stood_still() -> None:
    limits = Thresholds(warning_ms=100)

    ours = await sampled(Bench(), stalling(0.2, result(total_ms=280.0)), thresholds=limits)
    its = await sampled(Bench(), stalling(0.2, result(total_ms=900.0)), thresholds=limits)

    assert (ours.status, its.status) == (Status.UP, Status.DEGRADED)


@in_virtual_time
async def test_a_timeout_during_a_long_stall_says_nothing_about_the_target() -> None:
    late = failed(ErrorType.FIRST_BYTE_TIMEOUT)

    ours = await sampled(Bench(), stalling(0.9, late), timeout_ms=1000)
    its = await sampled(Bench(), stalling(0.09, late), timeout_ms=1000)

    assert (ours.status, failure_type(ours)) == (Status.UNKNOWN, ErrorType.STALLED)
    assert (its.status, failure_type(its)) == (Status.DOWN, ErrorType.FIRST_BYTE_TIMEOUT)


@in_virtual_time
async def test_a_timeout_during_a_stall_is_tried_again_like_a_failure() -> None:
    stalled = stalling(0.9, failed(ErrorType.CONNECT_TIMEOUT))

    beat = await sampled(Bench(), script(stalled, succeed), timeout_ms=1000, retries=1)

    assert (beat.status, reasons(beat)) == (Status.UP, [ErrorType.STALLED])
    assert beat.lag_ms is None
