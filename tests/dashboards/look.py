"""What would a person see? `python -m tests.dashboards.look` prints what each query over PostgreSQL
answers, on the installation of `docs/sql.md`, under a role that may only read.
"""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tests.dashboards.asking import Chosen
from tests.dashboards.pages import PAGES
from tests.dashboards.panels import POSTGRESQL, Page
from tests.docs import sql
from tests.support import postgres, roles

# What is printed of each answer: so many lines and the number of rows, so many letters of a line.
_MOST, _WIDTH = 16, 200
NOW = datetime(2026, 3, 4, 12, 2, tzinfo=UTC)
# Each variable of each page, as its first choices are.
VARIABLES = {
    "datacenter": ("1", "6"),
    "monitor": ("1",),
    "target": ("0.999",),
    "gaps": ("uptime",),
}


def chosen(hours: float = 24, **variables: tuple[str, ...]) -> Chosen:
    """The hours before the moment at which the clock of that installation stands."""
    since = NOW - timedelta(hours=hours)
    return Chosen(since=since, until=NOW, variables=VARIABLES | variables)


@contextmanager
def reader(maintenance: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody who may only read, on a filled database."""
    with sql.installation(maintenance) as conninfo, asyncio.Runner() as runner:
        made = asynccontextmanager(_made)(conninfo)
        login = runner.run(made.__aenter__())
        try:
            with psycopg.connect(login, autocommit=True) as connection:
                yield connection
        finally:
            runner.run(made.__aexit__(None, None, None))


async def _made(conninfo: str) -> Any:
    async with roles.made(conninfo) as logins:
        yield logins["reader"]


def pages() -> Iterator[Page]:
    """Those over PostgreSQL."""
    return (page for page in PAGES.values() if page.source is POSTGRESQL)


def _shown(connection: psycopg.Connection[Any]) -> Iterator[str]:
    for page in pages():
        yield f"\n==== {page.title}"
        for panel in page.panels():
            text = chosen(720 if page.uid == "uptimeo-sla" else 24).asked(panel.queries[0].text)
            lines = sql.output(connection, text).splitlines()
            yield f"\n== {panel.title}"
            yield from (line[:_WIDTH] for line in (*lines[:_MOST], *lines[_MOST:][-1:]))


if __name__ == "__main__":
    with postgres.server() as server, reader(server) as somebody:
        sys.stdout.writelines(f"{line}\n" for line in _shown(somebody))
