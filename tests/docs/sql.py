"""What do the queries of `docs/sql.md` answer?

`python -m tests.docs.sql` runs each on an installation whose clock stands still, and writes its
output beneath it, and the table of views at the end.
"""

import asyncio
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tests.support import postgres
from uptimeo.storage.database import connect
from uptimeo.storage.places import add_sample_datacenters
from uptimeo.storage.schema import migrate

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"
_DATA = Path(__file__).with_name("sql_data.sql")
_BLOCK = re.compile(r"```sql\n(.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)
_REFERENCE = re.compile(r"(<!-- views -->\n).*(<!-- end of views -->)", re.DOTALL)
# What the tables, functions and views of this database take for the clock: a name of their own
# schema comes before that of pg_catalog.
_CLOCK = """
CREATE SCHEMA frozen;
CREATE FUNCTION frozen.now() RETURNS timestamptz
LANGUAGE sql STABLE RETURN timestamptz '2026-03-04 12:02:00+00';
CREATE FUNCTION frozen.clock_timestamp() RETURNS timestamptz
LANGUAGE sql STABLE RETURN timestamptz '2026-03-04 12:02:00+00';
"""
_SETTINGS = ("search_path = frozen, public, pg_catalog", "timezone = 'UTC'", "datestyle = 'ISO'")
_VIEWS = """
SELECT c.relname, obj_description(c.oid), a.attname, col_description(c.oid, a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relkind = 'v' AND c.relnamespace = 'frozen'::regnamespace ORDER BY 1, a.attnum
"""


@dataclass(frozen=True, slots=True)
class Question:
    """A query of the page, under its heading."""

    title: str
    query: str


@contextmanager
def installation(maintenance: str) -> Iterator[str]:
    """The connection string of a database in which it is always the same moment."""
    with postgres.database(maintenance, None) as conninfo:
        name = conninfo_to_dict(conninfo)["dbname"]
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(_CLOCK.encode())
            for setting in _SETTINGS:
                connection.execute(f"ALTER DATABASE {name} SET {setting}".encode())
        migrate(conninfo)
        asyncio.run(_places(conninfo))
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(_DATA.read_bytes())
            for level in (5, 60, 1440):
                while _one(connection, f"SELECT rollup_step({level}, 500)"):
                    pass
            connection.execute("VACUUM ANALYZE")
        yield conninfo


def questions(page: str) -> list[Question]:
    """Every query, in the order of the page."""
    found = []
    title = ""
    for part in re.split(r"^(?=#)", page, flags=re.MULTILINE):
        title = part.partition("\n")[0].lstrip("# ")
        found += [Question(title, query) for query in _BLOCK.findall(part)]
    return found


def page(connection: psycopg.Connection, text: str) -> str:
    """The page with the outputs and the table of views that this database gives."""
    answered = _BLOCK.sub(lambda found: _answered(connection, found[1]), text)
    reference = "\n".join(_reference(connection))
    return _REFERENCE.sub(lambda found: f"{found[1]}\n{reference}\n\n{found[2]}", answered)


async def _places(conninfo: str) -> None:
    async with await connect(conninfo) as connection:
        await add_sample_datacenters(connection)


def _answered(connection: psycopg.Connection, query: str) -> str:
    return f"```sql\n{query}```\n\n```text\n{output(connection, query)}```\n"


def output(connection: psycopg.Connection, query: str) -> str:
    """What psql shows of it."""
    copy = f"COPY ({query.strip().rstrip(';')}) TO STDOUT WITH (FORMAT csv, HEADER)"
    with connection.cursor() as cursor, cursor.copy(copy.encode()) as answer:
        text = b"".join(bytes(block) for block in answer).decode()
    titles, *rows = csv.reader(io.StringIO(text))
    return "".join(f"{line}\n" for line in _table(titles, rows))


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    columns = list(zip(titles, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(re.fullmatch(r"-?[\d.]*", cell) for cell in column[1:]) for column in columns]
    yield "|".join(
        f" {title:^{width}} " for title, width in zip(titles, widths, strict=True)
    ).rstrip()
    yield "+".join("-" * (width + 2) for width in widths)
    for row in rows:
        cells = zip(row, widths, right, strict=True)
        yield "|".join(
            f" {cell:{'>' if number else '<'}{width}} " for cell, width, number in cells
        ).rstrip()
    yield f"({len(rows)} row{'' if len(rows) == 1 else 's'})"


def _reference(connection: psycopg.Connection) -> Iterator[str]:
    last = ""
    for view, about, column, meaning in connection.execute(_VIEWS):
        if view != last:
            yield from ([""] if last else [])
            yield from (f"### {view}", "", f"{_sentence(about)}", "")
            yield from ("| column | meaning |", "| --- | --- |")
        yield f"| `{column}` | {meaning} |"
        last = view


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _one(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


if __name__ == "__main__":
    with (
        postgres.server() as maintenance,
        installation(maintenance) as conninfo,
        psycopg.connect(conninfo) as connection,
    ):
        PAGE.write_text(page(connection, PAGE.read_text("utf-8")), "utf-8")
