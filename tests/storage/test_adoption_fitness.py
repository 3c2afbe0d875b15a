"""Which older installations are refused, with what advice, and whose rights carry over."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support import older
from tests.support.catalogue import catalogue
from tests.support.commands import ran, said
from tests.support.older import quiet
from uptimeo.cli.migrate import migrate
from uptimeo.domain.errors import FatalError
from uptimeo.storage import schema
from uptimeo.storage.adoption.older import CONTRACT, find

REFUSED = {
    "a trigger": (
        """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER mine BEFORE INSERT ON api_heartbeats FOR EACH ROW EXECUTE FUNCTION f()""",
        "the trigger mine on api_heartbeats",
    ),
    "row-level security": (
        "ALTER TABLE api_monitors ENABLE ROW LEVEL SECURITY",
        "the row-level security of api_monitors",
    ),
    "a rule": (
        "CREATE RULE mine AS ON DELETE TO agents DO INSTEAD NOTHING",
        "the rule mine on agents",
    ),
    "a publication": (
        "CREATE PUBLICATION mine FOR TABLE api_heartbeats",
        "api_heartbeats in the publication mine",
    ),
    "a materialized view": (
        "CREATE MATERIALIZED VIEW mine AS SELECT count(*) FROM api_heartbeats",
        "the materialized view mine",
    ),
    "a bound function": (
        """CREATE FUNCTION mine() RETURNS bigint LANGUAGE sql
        BEGIN ATOMIC SELECT count(*) FROM api_heartbeats; END""",
        "the function mine()",
    ),
    "a foreign key to heartbeats": (
        "CREATE TABLE notes (heartbeat_id bigint REFERENCES api_heartbeats)",
        "the foreign key notes_heartbeat_id_fkey of notes",
    ),
    "no index by id": (
        "ALTER TABLE api_heartbeats DROP CONSTRAINT api_heartbeats_pkey",
        "CREATE UNIQUE INDEX CONCURRENTLY",
    ),
    "an id that is there twice": (
        "ALTER TABLE regions DROP CONSTRAINT regions_pkey; INSERT INTO regions (id) VALUES (1)",
        "regions has the id 1 more than once",
    ),
    "a datacenter whose number does not fit": (
        "INSERT INTO agents (id, name, datacenter_id) VALUES (99, 'far', 40000)",
        "agents has the datacenter 40000; give it a number from 0 to 32767",
    ),
    "a table that is missing": ("DROP TABLE datacenter_monitors", "no table datacenter_monitors"),
    "a column that is missing": ("ALTER TABLE schedules DROP interval", "has no column interval"),
    "a name that we need": ("CREATE TABLE agent_leases (id int)", "agent_leases"),
    "a view that would break": (
        "CREATE VIEW mine AS SELECT round(avg(response_time_ms), 2) FROM api_heartbeats",
        "public.mine cannot be made",
    ),
    "something of theirs on a view": (
        "CREATE FUNCTION mine(v failing) RETURNS text LANGUAGE sql AS 'SELECT NULL'",
        "cannot drop view failing because other objects depend on it",
    ),
    "another owner": ("ALTER TABLE schedules OWNER TO other", "but not schedules"),
}


@pytest.fixture
def roles(maintenance: str) -> Iterator[None]:
    """An owner, an agent and somebody else."""
    names = "adoption_owner", "adoption_agent", "other"
    with psycopg.connect(maintenance, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'".encode())
    yield
    with psycopg.connect(maintenance, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP ROLE {name}".encode())


@pytest.fixture
def execute(roles: None, empty_database: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Statements on the database of the test, which is left without a trace of the roles."""

    def run(*statements: str, role: str = "") -> list[tuple[Any, ...]]:
        with psycopg.connect(empty_database, autocommit=True) as connection:
            if role:
                connection.execute(f"SET SESSION AUTHORIZATION {role}".encode())
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    yield run
    run(
        "REASSIGN OWNED BY adoption_owner, adoption_agent, other TO CURRENT_USER",
        "DROP OWNED BY adoption_owner, adoption_agent, other",
    )


@pytest.mark.parametrize(("statement", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_come_along_is_named_before_anything_is_copied(
    execute: Callable[..., Any], empty_database: str, statement: str, reason: str
) -> None:
    older.make(empty_database, 10)
    execute(statement)

    with pytest.raises(FatalError, match="cannot adopt") as refusal:
        schema.migrate(empty_database, quiet)

    assert reason in str(refusal.value)
    execute(older.INSERT)
    assert execute("SELECT count(*) FROM api_heartbeats") == [(20,)]


def test_a_dry_run_names_each_row_that_is_adjusted_and_leaves_nothing(
    empty_database: str,
) -> None:
    older.make(empty_database, 100)
    before = catalogue(empty_database)

    output = said(migrate, "--dry-run", dsn=empty_database)

    assert "109 heartbeats, 1969-07-20" in output
    for line in (
        "- schedules 2: interval '0' becomes '60'",
        "- agents 2: name 'agent' becomes 'agent-2'",
        "- api_monitors 2: schedule_id '99' becomes NULL",
        "- datacenters 77: made as 'id77', since rows name it",
        "- datacenter_monitors (2, 99): left out, twice there or naming nothing",
        "- api_heartbeats.url_index is kept, integer",
        "- the view public.failing is made anew",
    ):
        assert line in output.splitlines()
    assert catalogue(empty_database) == before
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT to_regnamespace('uptimeo_older')").fetchone() == (None,)


def test_the_command_tells_how_far_it_is_and_what_is_left_to_do(empty_database: str) -> None:
    older.make(empty_database, 100)

    output = said(migrate, dsn=empty_database)

    assert "copying heartbeats: 109 of 109 (100%)" in output
    assert "every older heartbeat is in api_heartbeats: 109 of 109" in output
    assert ran(migrate, "--drop-older", dsn=empty_database).exit_code == 0
    assert "is up to date" in said(migrate, dsn=empty_database)


def test_owner_and_rights_are_those_of_the_older_tables(
    execute: Callable[..., Any], empty_database: str
) -> None:
    older.make(empty_database, 100)
    execute(
        "GRANT CREATE ON SCHEMA public TO adoption_owner",
        f"GRANT CREATE ON DATABASE {psycopg.conninfo.conninfo_to_dict(empty_database)['dbname']}"
        " TO adoption_owner",
        *(f"ALTER TABLE {table} OWNER TO adoption_owner" for table in CONTRACT),
        "GRANT INSERT, SELECT (id) ON api_heartbeats TO adoption_agent",
        "GRANT SELECT ON agents, failing TO adoption_agent",
        "GRANT USAGE ON SEQUENCE api_heartbeats_id_seq TO adoption_agent",
    )
    execute(older.INSERT, role="adoption_agent")

    schema.migrate(empty_database, quiet)

    execute(older.INSERT, role="adoption_agent")
    execute("SELECT * FROM failing", role="adoption_agent")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute("SELECT * FROM api_heartbeats", role="adoption_agent")
    assert execute(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname IN"
        " ('api_heartbeats', 'heartbeats_20260101', 'agent_leases', 'schedules')"
    ) == [("adoption_owner",)]
    assert execute(
        "SELECT DISTINCT pg_get_userbyid(relowner) = current_user FROM pg_class"
        " WHERE relname IN ('failing', 'failing_names', 'status_pages')"
    ) == [(True,)]


def test_somebody_who_is_not_the_owner_is_told_who_is(
    execute: Callable[..., Any], empty_database: str
) -> None:
    older.make(empty_database, 10)
    owner = execute("SELECT current_user")[0][0]

    with psycopg.connect(empty_database) as connection:
        connection.execute("SET SESSION AUTHORIZATION other")
        with pytest.raises(FatalError, match=f"migrate as {owner}"):
            find(connection)


def test_tables_in_a_schema_of_their_own_are_adopted_there(empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute('CREATE SCHEMA "My monitors"')
    conninfo = make_conninfo(empty_database, options='-c search_path="My\\ monitors",public')
    older.make(conninfo, 100)

    schema.migrate(conninfo, quiet)

    with psycopg.connect(conninfo) as connection:
        assert connection.execute(older.INSERT.encode()).fetchone()
        assert connection.execute("SELECT count(*) FROM failing").fetchone() == (3,)
        assert connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchone() == (0,)
