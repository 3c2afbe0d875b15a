"""Does each query of `docs/sql.md` answer what the page says, and from the right tables?"""

import re
from collections.abc import Iterator

import psycopg
import pytest

from tests.docs import sql
from tests.docs.sql_reading import asks_for_long, partitions_read

PAGE = sql.PAGE.read_text("utf-8")
QUESTIONS = sql.questions(PAGE)
NAMES = [f"{number} {each.title}" for number, each in enumerate(QUESTIONS)]
# Of the day on which it is 12:02, and the day before: what 24 hours can touch.
_RECENT = {"heartbeats_20260303", "heartbeats_20260304"}


@pytest.fixture(scope="module")
def connection(maintenance: str) -> Iterator[psycopg.Connection]:
    with sql.installation(maintenance) as conninfo, psycopg.connect(conninfo) as opened:
        opened.autocommit = True
        yield opened


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
    allowed = set() if asks_for_long(question.query) else _RECENT

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
