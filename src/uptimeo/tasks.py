"""How is a task ended that may not listen at once? Whoever owns tasks may call it."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_S = 0.1


async def cancel_all(tasks: Iterable["asyncio.Future[Any]"], patience_s: float) -> bool:
    """Cancel until every task has ended, or the patience is over; whether all have.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which psycopg waits with, swallows
    a cancellation that arrives together with its answer, and the loop around it goes on.
    """
    pending = {task for task in tasks if not task.done()}
    for _ in range(max(1, round(patience_s / _AGAIN_S))):
        if not pending:
            break
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_S)
    return not pending
