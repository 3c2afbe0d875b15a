"""How does a change of the schema get its locks without standing in anybody's way?"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg import errors

T = TypeVar("T")

_PAUSE_S = 1.0
_TOLD_EVERY = 10


def patiently(
    driver: psycopg.Connection[Any],
    work: Callable[[], T],
    *,
    lock_timeout_ms: int,
    tell: Callable[[], None],
) -> T:
    """Do `work` in one transaction, again until it gets its locks.

    While one is waited for, readers and writers queue behind: so no longer than `lock_timeout_ms`,
    and then again after a second. `tell` is called the first time that it has to wait, and now and
    then while it goes on. The connection is in autocommit mode.
    """
    tries = 0
    while True:
        try:
            with driver.transaction():
                driver.execute(f"SET LOCAL lock_timeout = {lock_timeout_ms}".encode())
                return work()
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            if tries % _TOLD_EVERY == 0:
                tell()
            tries += 1
            time.sleep(_PAUSE_S)
