"""Does every check become one heartbeat, whatever its probe does?"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from tests.support.builders import NOON, URL, check, failed, monitor, origin, result
from tests.support.fakes import LogBook
from tests.support.virtual_time import VirtualClock, in_virtual_time
from uptimeo.domain.heartbeat import EvidenceReason, Heartbeat, Origin, to_wire
from uptimeo.domain.monitor import Thresholds
from uptimeo.domain.redaction import Redactor
from uptimeo.domain.result import ErrorType, Exchange, Failure
from uptimeo.domain.verdict import Status
from uptimeo.probes.base import Probe, ProbeContext, ProbeOptions, ProbeResult
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.probes.running.attempts import Attempts, Shared
from uptimeo.probes.running.places import HostPlaces
from uptimeo.probes.running.references import References
from uptimeo.probes.running.runner import CheckRunner

CHANGE, FAILURE = EvidenceReason.CHANGE, EvidenceReason.FAILURE
SECRET = "correct horse/battery+staple"


class FakeProbe(Probe[ProbeOptions]):
    """A probe that does what the test says."""

    options: ClassVar[type[ProbeOptions]] = ProbeOptions

    def __init__(self) -> None:
        self.does: Callable[[], Awaitable[Any]] = succeed
        self.asked: list[tuple[ProbeOptions, ProbeContext]] = []

    async def probe(self, options: ProbeOptions, context: ProbeContext) -> ProbeResult:
        self.asked.append((options, context))
        answer: ProbeResult = await self.does()
        return answer


async def succeed() -> ProbeResult:
    return result()


async def fail() -> ProbeResult:
    return failed()


def failed_with(message: str) -> ProbeResult:
    failure = Failure(type=ErrorType.UNEXPECTED, message=message)
    exchange = Exchange(response_headers=(("X-Echo", SECRET),), body_start=SECRET.encode())
    return result(failure=failure, exchange=exchange, facts={"greeting": SECRET})


async def raise_value_error() -> ProbeResult:
    raise ValueError("no such\nluck")


async def raise_timeout_of_its_own() -> ProbeResult:
    raise TimeoutError("a socket of the plugin's own")


async def hang() -> ProbeResult:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def hang_and_complain() -> ProbeResult:
    try:
        return await hang()
    except asyncio.CancelledError:
        raise RuntimeError("interrupted") from None


async def return_nothing() -> None:
    return None


async def return_not_a_number() -> ProbeResult:
    return ProbeResult(total_ms=float("nan"))


class Bench:
    """A runner with one fake probe, and the heartbeats it handed on."""

    def __init__(self, per_host: int = 100) -> None:
        self.probe = FakeProbe()
        self.clock = VirtualClock(NOON + timedelta(milliseconds=30))
        self.book = LogBook()
        self.emitted: list[Heartbeat] = []
        self.permitted: Origin | None = origin()
        attempts = Attempts(
            references=References(()),
            registry=ProbeRegistry({"http": self.probe}),
            shared=Shared(),
            log=self.book.log,
        )
        self.lag = attempts.lag
        self.runner = CheckRunner(
            attempts=attempts,
            places=HostPlaces(per_host),
            permit=lambda: self.permitted,
            clock=self.clock,
            emit=self.emitted.append,
            log=self.book.log,
        )

    async def run(self, does: Callable[[], Awaitable[Any]], **changes: Any) -> Heartbeat:
        """The one heartbeat of a check whose probe does that."""
        before = len(self.emitted)
        self.probe.does = does
        await self.runner.run(check(**changes))
        assert len(self.emitted) == before + 1
        return self.emitted[-1]


def failure_type(beat: Heartbeat) -> ErrorType | None:
    return beat.result.failure.type if beat.result.failure else None


@in_virtual_time
async def test_a_success_becomes_a_heartbeat_of_its_slot() -> None:
    bench = Bench()
    mine = bench.permitted = origin(term=9)

    beat = await bench.run(succeed)

    assert beat.scheduled_at == NOON
    assert beat.executed_at == NOON + timedelta(milliseconds=30)
    assert (beat.origin, beat.status, beat.attempts) == (mine, Status.UP, 1)


@in_virtual_time
async def test_the_probe_gets_the_options_and_the_timeout_of_its_monitor() -> None:
    bench = Bench()
    options = ProbeOptions(url=URL)

    await bench.run(succeed, monitor=monitor(options=options, timeout_ms=1234))

    assert bench.probe.asked == [(options, ProbeContext(timeout_ms=1234))]


@in_virtual_time
async def test_a_result_is_judged_by_the_thresholds_of_its_monitor() -> None:
    slow = monitor(thresholds=Thresholds(warning_ms=100))

    beat = await Bench().run(succeed, monitor=slow)

    assert beat.status is Status.DEGRADED


@in_virtual_time
async def test_a_target_that_fails_is_down_and_no_fault_of_ours() -> None:
    bench = Bench()

    beat = await bench.run(fail)

    assert beat.status is Status.DOWN
    assert not bench.book.events()


@pytest.mark.parametrize("does", [raise_value_error, raise_timeout_of_its_own, return_nothing])
@in_virtual_time
async def test_a_bug_of_a_probe_is_unknown_and_logged(does: Callable[[], Awaitable[Any]]) -> None:
    bench = Bench()

    beat = await bench.run(does)

    assert (beat.status, failure_type(beat)) == (Status.UNKNOWN, ErrorType.INTERNAL)
    assert bench.book.events() == ["probe_failed"]


@in_virtual_time
async def test_the_message_of_a_bug_names_the_probe_and_the_error() -> None:
    beat = await Bench().run(raise_value_error)

    assert beat.result.failure is not None
    assert beat.result.failure.message == "the http probe failed: ValueError: no such\nluck"


@pytest.mark.parametrize("does", [hang, hang_and_complain])
@in_virtual_time
async def test_a_probe_that_hangs_is_cut_off_soon_after_its_timeout(
    does: Callable[[], Awaitable[Any]],
) -> None:
    bench = Bench()

    beat = await bench.run(does, monitor=monitor(timeout_ms=2000))

    assert beat.status is Status.UNKNOWN
    assert (bench.clock.now() - beat.executed_at).total_seconds() == pytest.approx(2.5, abs=0.01)


@in_virtual_time
async def test_a_probe_that_hangs_is_stuck() -> None:
    bench = Bench()

    beat = await bench.run(hang)

    assert failure_type(beat) is ErrorType.STUCK
    assert not bench.book.events()


@in_virtual_time
async def test_a_probe_that_ends_within_the_patience_is_not_cut_off() -> None:
    async def be_late() -> ProbeResult:
        await asyncio.sleep(2.4)
        return failed(ErrorType.FIRST_BYTE_TIMEOUT)

    beat = await Bench().run(be_late, monitor=monitor(timeout_ms=2000))

    assert failure_type(beat) is ErrorType.FIRST_BYTE_TIMEOUT


@in_virtual_time
async def test_times_that_are_no_numbers_do_not_cost_the_heartbeat() -> None:
    beat = await Bench().run(return_not_a_number)

    assert '"status":"up"' in to_wire(beat)


@in_virtual_time
async def test_a_cancelled_check_leaves_a_heartbeat_and_stays_cancelled() -> None:
    bench = Bench()
    bench.probe.does = hang
    running = asyncio.create_task(bench.runner.run(check()))
    await asyncio.sleep(1)

    running.cancel()
    await asyncio.wait({running})

    assert running.cancelled()
    assert [failure_type(beat) for beat in bench.emitted] == [ErrorType.STOPPED]
    assert bench.emitted[0].executed_at == NOON + timedelta(milliseconds=30)


@pytest.mark.parametrize(
    "cause", [ErrorType.SKIPPED_OVERRUN, ErrorType.SKIPPED_OVERLOAD, ErrorType.SKIPPED_STALL]
)
@in_virtual_time
async def test_a_skipped_slot_is_unknown_with_its_cause_and_without_an_attempt(
    cause: ErrorType,
) -> None:
    bench = Bench()

    bench.runner.skip(check(), cause)

    (beat,) = bench.emitted
    assert (beat.status, failure_type(beat)) == (Status.UNKNOWN, cause)
    assert (beat.attempts, beat.scheduled_at) == (0, NOON)
    assert not bench.probe.asked


@in_virtual_time
async def test_evidence_is_kept_of_a_change_of_state_and_then_not_again() -> None:
    bench = Bench()

    kept = [(await bench.run(succeed)).evidence for _ in range(3)]

    assert kept == [CHANGE, None, None]


@in_virtual_time
async def test_evidence_is_kept_of_every_failure() -> None:
    bench = Bench()

    kept = [(await bench.run(does)).evidence for does in (fail, fail, hang, hang)]

    assert kept == [FAILURE] * 4


@in_virtual_time
async def test_evidence_is_kept_of_the_recovery() -> None:
    bench = Bench()

    kept = [(await bench.run(does)).evidence for does in (succeed, fail, succeed, succeed)]

    assert kept == [CHANGE, FAILURE, CHANGE, None]


@in_virtual_time
async def test_evidence_is_kept_when_a_success_becomes_slow() -> None:
    bench = Bench()
    slow = monitor(thresholds=Thresholds(warning_ms=100))
    await bench.run(succeed)

    kept = [(await bench.run(succeed, monitor=slow)).evidence for _ in range(2)]

    assert kept == [CHANGE, None]


@in_virtual_time
async def test_no_secret_of_its_monitor_is_in_what_a_check_hands_on() -> None:
    bench = Bench()
    answers = iter([failed_with(f"no {SECRET}"), failed_with(f"nor {SECRET} here")])

    async def echo() -> ProbeResult:
        return next(answers)

    beat = await bench.run(echo, monitor=monitor(retries=1, redactor=Redactor(frozenset({SECRET}))))

    assert beat.attempts == 2
    assert SECRET not in repr(beat)
    assert SECRET not in to_wire(beat)


@in_virtual_time
async def test_a_probe_that_raises_with_a_secret_logs_none() -> None:
    bench = Bench()

    async def burst() -> ProbeResult:
        raise ValueError(f"cannot log in with {SECRET}")

    await bench.run(burst, monitor=monitor(redactor=Redactor(frozenset({SECRET}))))

    assert bench.book.events() == ["probe_failed"]
    assert SECRET not in bench.book.stream.getvalue()


@in_virtual_time
async def test_the_state_of_one_monitor_is_not_that_of_another() -> None:
    bench = Bench()
    await bench.run(succeed, monitor=monitor(1))

    beat = await bench.run(succeed, monitor=monitor(2))

    assert beat.evidence is CHANGE


@in_virtual_time
async def test_a_result_that_cannot_be_judged_is_an_internal_error() -> None:
    bench = Bench()

    async def odd() -> Any:
        return result(total_ms="12")

    beat = await bench.run(odd, monitor=monitor(thresholds=Thresholds(warning_ms=1)))

    assert (beat.status, failure_type(beat)) == (Status.UNKNOWN, ErrorType.INTERNAL)
