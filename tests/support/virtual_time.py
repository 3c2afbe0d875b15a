"""How does a test live through hours in milliseconds? An event loop whose clock is an argument.

When nothing is ready to run, the loop moves its clock to the next timer instead of sleeping. Only
for code that waits for timers and for itself: a thread or a socket would be waited for forever.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta
from typing import Any, ParamSpec

from uptimeo.clock import EPOCH, ServerClock

P = ParamSpec("P")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds pass only when it has nothing else to do."""

    def __init__(self) -> None:
        self._seconds = 1000.0
        super().__init__(_Skipping(self.pass_time))

    def time(self) -> float:
        return self._seconds

    def pass_time(self, seconds: float) -> None:
        """Let time pass in which no task runs, as while a process is stopped by SIGSTOP."""
        self._seconds += seconds


class _Skipping(selectors.DefaultSelector):
    """Lets the time pass that it is told to wait."""

    def __init__(self, pass_time: Callable[[float], None]) -> None:
        super().__init__()
        self._pass_time = pass_time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "every task waits for something that will never happen"
            self._pass_time(timeout)
        return ready


class VirtualClock(ServerClock):
    """The server's clock on a virtual loop: `anchor` is the real one."""

    def __init__(self, now: datetime) -> None:
        super().__init__()
        self._offset = (now - EPOCH).total_seconds() - running_loop().time()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=running_loop().time() + self._offset)

    def server_says(self, now: datetime, round_trip_s: float = 0.0) -> None:
        """An answer of the database, read in the middle of its round trip, which takes no time."""
        at, half = running_loop().time(), round_trip_s / 2
        self.anchor(now, at - half, at + half)


class Inline(Executor):
    """Does the work of a thread at once, for a thread would be waited for forever."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            done.set_exception(error)
        return done


def running_loop() -> VirtualLoop:
    """The loop of the running test, for `pass_time`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an asynchronous test on a loop of its own whose time is virtual."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
