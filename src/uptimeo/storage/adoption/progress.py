"""How far is an adoption, and how does it wait for a lock without standing in anybody's way?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from uptimeo.storage import patience
from uptimeo.storage.adoption.older import Driver

T = TypeVar("T")

_LOCK_TIMEOUT_MS = 100
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

    def tell() -> None:
        row = driver.execute(_HOLDERS, (schema,)).fetchone()
        pids = (row and row[0]) or "?"
        say(Progress(f"waiting for the sessions {pids} to end their use of these tables"))

    return patience.patiently(driver, work, lock_timeout_ms=_LOCK_TIMEOUT_MS, tell=tell)
