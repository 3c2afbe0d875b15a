"""Do the queries of `docs/sql.md` that ask for more than a day read any heartbeats?

Asked of the small installation of that page, whose clock stands still. The server counts the scans
of each day of heartbeats, also those of functions, which no plan shows.
"""

import asyncio
from collections.abc import Sequence

import psycopg

from tests.docs import sql
from tests.docs.sql_reading import asks_for_long, partitions_read
from tests.evidence.database_figures import Figure, Scale

# Without which nothing would be found: failures are heartbeats.
_READS_SOME = "SELECT count(*) FROM failures WHERE slot > now() - interval '30 days'"


async def measure(conninfo: str, scale: Scale) -> Sequence[Figure]:
    """In a database beside the one that is given."""
    return await asyncio.to_thread(_measure, conninfo)


def _measure(conninfo: str) -> list[Figure]:
    questions = sql.questions(sql.PAGE.read_text("utf-8"))
    asked = [each for each in questions if asks_for_long(each.query)]
    with sql.installation(conninfo) as page, psycopg.connect(page, autocommit=True) as connection:
        assert partitions_read(connection, _READS_SOME), "scans of heartbeats are not seen"
        reading = [each for each in asked if partitions_read(connection, each.query)]
    return [
        Figure(name="that read heartbeats", value=len(reading), unit="queries", at_most=0),
        *(Figure(name=f"  {each.title[:48]}", value=1, unit="query") for each in reading),
        Figure(name="that ask for more than a day", value=len(asked), unit="queries", at_least=5),
        Figure(name="of all in docs/sql.md", value=len(questions), unit="queries"),
    ]
