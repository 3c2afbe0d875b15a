"""Does everything work through a transaction pooler, where a session is nobody's own?"""

import asyncio
import os
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import sql

from tests.faults import checkers
from tests.faults.history import Where
from tests.faults.installation import Installation, installation
from tests.faults.pair import Pair, leader, other, pair, term, until_checked
from tests.faults.pooler import missing, pooler
from tests.faults.report import Fault, Figure, Outcome, Scale, SkipFault, percentile, say
from tests.support.agents import Running
from uptimeo.storage.database import one

_MONITORS = 20
_KILLS = {Scale.FULL: 10, Scale.SHORT: 1}
_TAKEOVER_S = 3.6
_POLL_S = 3.0
_SEEN_S = _POLL_S + 2.5  # read at the latest then; its first slot; on its way
_CHECKED = "SELECT count(*) FROM api_heartbeats WHERE monitor_id = ANY(%s)"
_FIRST = """
SELECT extract(epoch FROM min(executed_at))::float8 FROM api_heartbeats
WHERE term = %s AND attempts > 0
"""


@asynccontextmanager
async def _pooled() -> AsyncIterator[tuple[Installation, str]]:
    """An installation, and the connection string that leads through the pooler."""
    if (why := missing()) is not None:
        raise SkipFault(why)
    address = f"127.0.88.{os.getpid() % 250 + 1}"
    password = secrets.token_urlsafe(16)
    rule = f"host all sre {address}/8 scram-sha-256"
    options = (f"listen_addresses={address}", "fsync=off")
    async with installation(options=options, hba=(rule,)) as place:
        async with await place.connect() as connection:
            create = sql.SQL("CREATE ROLE sre LOGIN SUPERUSER PASSWORD {}")
            await connection.execute(create.format(sql.Literal(password)))
        async with pooler(address, "sre", password) as dsn:
            yield place, dsn


async def _run(scale: Scale) -> Outcome:
    takeovers: list[float] = []
    told: list[int] = []
    async with _pooled() as (place, dsn):
        await place.add_monitors(_MONITORS)
        environment = {"DB_CONN_STRING": dsn, "UPTIMEO_CONFIG_POLL_S": str(_POLL_S)}
        async with pair(place, **environment) as agents:
            for number in range(_KILLS[scale]):
                takeovers.append(await _kill(place, agents, told))
                say(f"  kill {number + 1}: {takeovers[-1]:.2f} s")
            seen_s = await _change(place)
            told += [_notices(agent) for agent in agents.agents.values()]
            await agents.stop()
        history = await place.history()
    late = Counter(beat.where for beat in checkers.started_after_their_term(history))
    return Outcome(
        runs=len(takeovers),
        figures=(
            Figure("takeover p50", percentile(takeovers, 50), "s"),
            Figure("takeover max", max(takeovers), "s", at_most=_TAKEOVER_S),
            Figure("overlap", checkers.overlap_s(history), "s", at_most=0),
            Figure("counted overlap", late[Where.STORED], at_most=0),
            Figure("heartbeats stored", len(history.beats), at_least=_MONITORS * len(takeovers)),
            Figure("slots doubled", checkers.doubled(history), at_most=0),
            Figure("still in spools", sum(b.where is Where.SPOOLED for b in history.beats), "", 0),
            Figure("change seen after", seen_s, "s", at_most=_SEEN_S),
            Figure("told that notices do not arrive: least", min(told), at_least=1),
            Figure("most", max(told), at_most=1),
        ),
    )


async def _kill(place: Installation, agents: Pair, told: list[int]) -> float:
    """Kill the leader; the time to the first check of the next term. It is started again."""
    async with await place.connect() as connection:
        old, before = await leader(connection), await term(connection)
        told.append(_notices(agents.agents[old]))
        killed_at = await agents.kill(old)
        await agents.agents[other(old)].event("lease_acquired", term=before + 1)
        await until_checked(connection, before + 1)
        await asyncio.sleep(0.5)  # an earlier check may be stored later
        first = float(await one(connection, _FIRST, (before + 1,)))
    await agents.start_as_standby(old)
    await agents.agents[old].event("monitors_changed")
    return first - killed_at


async def _change(place: Installation) -> float:
    """How long a new monitor waits for its first heartbeat."""
    added_at = time.monotonic()
    ids = await place.add_monitors(1)
    async with await place.connect() as connection, asyncio.timeout(60):
        while not await one(connection, _CHECKED, (ids,)):
            await asyncio.sleep(0.05)
    return time.monotonic() - added_at


def _notices(agent: Running) -> int:
    return sum(line["event"] == "notifications_unavailable" for line in agent.lines)


FAULTS = (
    Fault(
        id="F10",
        title="PgBouncer in transaction mode before the database",
        demanded="takeover <= 3.6 s; overlap 0; told once that notices do not arrive; polled",
        run=_run,
    ),
)
