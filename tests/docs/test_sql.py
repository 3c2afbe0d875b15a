"""Does each query of `docs/sql.md` answer what the page says, and from the right tables?"""

import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.docs import sql

PAGE = sql.PAGE.read_text("utf-8")
QUESTIONS = sql.questions(PAGE)
NAMES = [f"{number} {each.title}" for number, each in enumerate(QUESTIONS)]
# A window of more than a day: `interval '30 days'`, or a day that is written out.
_LONG = re.compile(r"interval '(?:[2-9]|\d{2,}) days'|'2026-\d\d-\d\d")
# Of the day on which it is 12:02, and the day before: what 24 hours can touch.
_RECENT = {"heartbeats_20260303", "heartbeats_20260304"}
_SCANS = """
SELECT relname, seq_scan + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables
WHERE relname LIKE 'heartbeats\\_2%'
"""
_FILLED = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'heartbeats'::regclass AND c.reltuples > 0 ORDER BY 1
"""


@pytest.fixture(scope="module")
def connection(maintenance: str) -> Iterator[psycopg.Connection]:
    with sql.installation(maintenance) as conninfo, psycopg.connect(conninfo) as opened:
        opened.autocommit = True
        yield opened


def partitions_read(connection: psycopg.Connection, query: str) -> set[str]:
    """The days of heartbeats that hold any and of which the query, or a function in it, read."""
    # Scans of earlier transactions may still be counted, but none of others.
    with connection.transaction():
        before = scans(connection)
        connection.execute(query.encode())
        after = scans(connection)
    filled = {name for (name,) in connection.execute(_FILLED)}
    return {name for name, count in after.items() if count > before.get(name, 0)} & filled


def scans(connection: psycopg.Connection) -> dict[str, int]:
    """How often this session scanned each day, by the index or whole."""
    return dict(connection.execute(_SCANS).fetchall())


def test_the_page_is_what_the_queries_answer(connection: psycopg.Connection) -> None:
    assert sql.page(connection, PAGE) == PAGE, "python -m tests.docs.sql"


def test_there_is_a_query_under_every_question() -> None:
    titles = re.findall(r"^## (.*\?)$", PAGE, re.MULTILINE)

    assert len(titles) >= 15
    assert set(titles) == {each.title for each in QUESTIONS}


@pytest.mark.parametrize("question", QUESTIONS, ids=NAMES)
def test_no_query_reads_heartbeats_for_more_than_a_day(
    connection: psycopg.Connection, question: sql.Question
) -> None:
    allowed = set() if _LONG.search(question.query) else _RECENT

    assert partitions_read(connection, question.query) <= allowed


def test_a_query_that_reads_old_heartbeats_would_be_seen(connection: psycopg.Connection) -> None:
    query = "SELECT count(*) FROM failures WHERE slot > now() - interval '30 days'"

    assert partitions_read(connection, query) == _RECENT | {"heartbeats_20260302"}


def test_what_is_read_by_a_function_would_be_seen(connection: psycopg.Connection) -> None:
    query = "SELECT rollup_of_heartbeats(1, '2026-03-02 21:00+00')"

    assert partitions_read(connection, query) == {"heartbeats_20260302"}


def test_every_link_to_a_heading_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 _-]", "", each.lower()).replace(" ", "-") for each in headings}

    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= anchors
