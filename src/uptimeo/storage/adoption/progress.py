"""How far is an adoption, and how does it wait for a lock without standing in anybody's way?"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from psycopg import errors

from uptimeo.storage.adoption.older import Driver

T = TypeVar("T")

# While a lock is waited for, every writer queues behind: so for this long only, and then again.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '100ms'"
_PAUSE_S = 1.0
_TOLD_EVERY = 10
_HOLDERS = """
SELECT string_agg(DISTINCT pid::text, ', ') FROM pg_locks
WHERE relation IN (SELECT uptimeo_older.older_relations(%s::name))
  AND granted AND pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """What an adoption says: a step, and heartbeats done of how many, where it counts them."""

    step: str
    done: int | None = None
    total: int | None = None


Say = Callable[[Progress], None]


def patiently(driver: Driver, schema: str, work: Callable[[], T], say: Say) -> T:
    """Do `work` in one transaction, again until it gets its locks; nobody waits long for it.

    `schema` is that of the older tables, whose users are named while it waits.
    """
    tries = 0
    while True:
        try:
            with driver.transaction():
                driver.execute(_LOCK_TIMEOUT)
                return work()
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            tries += 1
            if tries % _TOLD_EVERY == 1:
                row = driver.execute(_HOLDERS, (schema,)).fetchone()
                pids = (row and row[0]) or "?"
                say(Progress(f"waiting for the sessions {pids} to end their use of these tables"))
            time.sleep(_PAUSE_S)
