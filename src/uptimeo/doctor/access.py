"""What does the database answer, and if nothing, why not? The facts of `DatabaseFacts`, in time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from uptimeo.catalog.rows import row_references, to_monitor
from uptimeo.doctor.facts import (
    DatabaseFacts,
    RowsHere,
    Seen,
    Setup,
    Trouble,
    Unreached,
    Unseen,
)
from uptimeo.doctor.host import in_thread
from uptimeo.domain.errors import FatalError, InvalidMonitorError, TransientError, UptimeoError
from uptimeo.domain.references import Source, Values
from uptimeo.domain.secret import SealedSecret
from uptimeo.probes.failing import TargetError
from uptimeo.probes.network.resolver import Family, SystemResolver
from uptimeo.probes.registry import ProbeRegistry
from uptimeo.settings import Settings
from uptimeo.storage import health, server
from uptimeo.storage.changes import ChangeNotices
from uptimeo.storage.database import Connection, connect, host_names
from uptimeo.storage.monitors import OF_DATACENTER, MonitorRow
from uptimeo.storage.questions import NotAllowedError, UnseenError, ask
from uptimeo.storage.secrets import sealed_for

T = TypeVar("T")
_LOOKUP_S = 2.0
_CONNECT_S = 5.0
_NOTICES_S = 8.0
_CLOSE_S = 1.0
# All questions together; each has its own limit besides.
_ALL_S = 8.0
_TROUBLES = (
    ("too many clients", Trouble.FULL),
    ("remaining connection slots", Trouble.FULL),
    ("too many connections", Trouble.FULL),
    ("session is read-only", Trouble.STANDBY),
    ("server is in hot standby", Trouble.STANDBY),
    ("Connection refused", Trouble.REFUSED),
    ("No such file or directory", Trouble.REFUSED),
    ("timeout expired", Trouble.SILENT),
    ("timed out", Trouble.SILENT),
    ("resolve host", Trouble.NAME),
)

Question = Callable[[Connection], Awaitable[Any]]


async def gather(setup: Setup) -> DatabaseFacts:
    """Connect, ask everything, and say of what was not answered why not."""
    connection = await _reached(setup)
    if isinstance(connection, Unreached):
        return _nothing(connection)
    assert setup.conninfo is not None
    notices = asyncio.create_task(_notices(setup.conninfo), name="notices")
    try:
        answers, stopped = await _answers(connection, questions(setup))
        link = answers.pop("link")
        if isinstance(link, Unseen):
            link = Unreached(Trouble.SILENT, link.why)
        return DatabaseFacts(link=link, stopped=stopped, notices=await notices, **answers)
    finally:
        notices.cancel()
        with suppress(UptimeoError, TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_S):
                await connection.close()


def questions(setup: Setup) -> Mapping[str, Question]:
    """By the name of the fact, in the order in which they matter, the dear ones last."""
    assert setup.conninfo is not None
    found: dict[str, Question] = {
        "link": partial(server.link, conninfo=setup.conninfo),
        "schema": server.schema,
        "role": server.role,
        "clock": server.clock,
        "datacenters": health.datacenters,
        "leaders": health.leaders,
        "days_ahead": health.days_ahead,
        "agents": health.agents,
        "vacuuming": server.vacuuming,
        "transactions": server.long_transactions,
        "slots": server.slots,
        "bad_rows": health.bad_rows,
        "set_aside": health.set_aside,
        "receiving": health.receiving,
        "mighty": health.mighty_roles,
        "hold": health.retention,
        "overdue": health.overdue,
        "detached": health.detached,
        "rollups": health.rollup_lag,
        "overlaps": health.counted_overlaps,
    }
    if setup.settings is None:
        found |= {"assigned": _no_datacenter, "rows": _no_datacenter}
    else:
        place = setup.settings.datacenter_id
        found["assigned"] = partial(health.assigned, datacenter=place)
        found["rows"] = partial(rows_here, settings=setup.settings)
    return found | {"unusual": health.unusual, "wrong_figures": health.wrong_figures}


async def rows_here(connection: Connection, settings: Settings) -> RowsHere:
    """The datacenter's rows with the values of this host, as its agent would read them."""
    place = {"datacenter": settings.datacenter_id}
    rows = await ask(connection, OF_DATACENTER, MonitorRow, place)
    wanted = row_references(rows)
    names = [each.name for each in wanted if each.source is Source.SECRET]
    sealed: list[SealedSecret] = []
    if names:
        query, given = sealed_for(names, settings.datacenter_id)
        sealed = await ask(connection, query, SealedSecret, given)
    values = await in_thread(lambda: settings.values().read(wanted, sealed))
    registry = ProbeRegistry.installed()
    faults = {f"{row.id} ({row.name})": _fault(row, registry, values) for row in rows}
    return RowsHere(
        rows=len(rows),
        references=len(wanted),
        faults={name: fault for name, fault in faults.items() if fault},
    )


def _fault(row: MonitorRow, registry: ProbeRegistry, values: Values) -> str:
    try:
        to_monitor(row, registry, values)
    except InvalidMonitorError as error:
        return str(error)
    return ""


async def _no_datacenter(_connection: Connection) -> Any:
    raise UnseenError("DATACENTER_ID is not set")


async def _answers(
    connection: Connection, asked: Mapping[str, Question]
) -> tuple[dict[str, Any], str]:
    """One after the other; and how the database fell silent, if it did.

    Once it hangs, or the time is over, nothing more is asked.
    """
    found: dict[str, Any] = {}
    gone = stopped = ""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _ALL_S
    for name, question in asked.items():
        if gone:
            found[name] = Unseen(gone)
            continue
        try:
            async with asyncio.timeout_at(deadline):
                found[name] = await question(connection)
        except UnseenError as error:
            found[name] = Unseen(str(error), right=isinstance(error, NotAllowedError))
        except TransientError as error:
            gone = stopped = f"the database stopped answering ({error})"
            found[name] = Unseen(gone)
        except TimeoutError:
            gone = f"no time was left after {_ALL_S:g} s"
            found[name] = Unseen(gone)
        except Exception as error:  # noqa: BLE001 - a bug here must not hide what else is wrong
            found[name] = Unseen(f"{type(error).__name__}: {error}")
    return found, stopped


async def _notices(conninfo: str) -> Seen[bool]:
    """Whether a notice of one connection arrives at another."""
    notices = ChangeNotices(conninfo)
    try:
        async with asyncio.timeout(_NOTICES_S):
            await notices.listen()
            return bool(notices.work)
    except TimeoutError:
        return Unseen(f"no answer within {_NOTICES_S:g} s")
    except UptimeoError as error:
        return Unseen(str(error))
    finally:
        with suppress(UptimeoError, TimeoutError, OSError):
            async with asyncio.timeout(_CLOSE_S):
                await notices.aclose()


async def _reached(setup: Setup) -> Connection | Unreached:
    if setup.conninfo is None:
        return Unreached(setup.trouble, setup.unnamed)
    if unknown := await _unknown_names(host_names(setup.conninfo)):
        return Unreached(Trouble.NAME, unknown)
    try:
        async with asyncio.timeout(_CONNECT_S):
            return await connect(setup.conninfo)
    except TimeoutError:
        return Unreached(Trouble.SILENT, f"no answer within {_CONNECT_S:g} s")
    except FatalError as error:
        unverified = "certificate cannot be verified" in str(error)
        return Unreached(Trouble.CERTIFICATE if unverified else Trouble.LOGIN, str(error))
    except UptimeoError as error:
        text = str(error)
        found = (trouble for pattern, trouble in _TROUBLES if pattern in text)
        return Unreached(next(found, Trouble.OTHER), text)


async def _unknown_names(names: list[str]) -> str:
    """Why not one of them can be looked up; "" if one can, or there is none.

    libpq's way of asking would keep this process until the C library gives up.
    """
    resolver, why = SystemResolver(), ""
    for name in names:
        try:
            await resolver.resolve(name, Family.ANY, _LOOKUP_S)
        except TargetError as error:
            why = error.failure.message
        else:
            return ""
    return why


def _nothing(why: Unreached) -> DatabaseFacts:
    unseen = Unseen("the database was not reached")
    names = DatabaseFacts.__dataclass_fields__.keys() - {"link", "stopped"}
    facts: dict[str, Any] = dict.fromkeys(names, unseen)
    return DatabaseFacts(link=why, **facts)
