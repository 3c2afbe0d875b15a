"""What is there before an agent may begin?"""

from pathlib import Path

import pytest

from tests.support.fakes import LogBook
from uptimeo.agent.start import introduce
from uptimeo.domain.errors import FatalError
from uptimeo.settings import Settings, read_settings
from uptimeo.storage.database import Connection, connect, one
from uptimeo.storage.places import add_sample_datacenters

_DAYS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'heartbeats'::regclass"
_NO_MORE_TABLES = """
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no more tables' USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE TABLE')
    EXECUTE FUNCTION refuse()
"""


def a_setting(conninfo: str, directory: Path) -> Settings:
    given = {"DB_CONN_STRING": conninfo, "DATACENTER_ID": "1", "UPTIMEO_DATA_DIR": str(directory)}
    return read_settings(given)


async def test_the_first_start_on_an_empty_database_makes_days_before_any_check(
    migrated: str, tmp_path: Path
) -> None:
    book = LogBook()
    async with await connect(migrated) as connection:
        await add_sample_datacenters(connection)

        await introduce(a_setting(migrated, tmp_path), migrated, book.log)

        assert await one(connection, _DAYS) == 9
    assert set(book.events()) == {"partitions_made"}


async def test_days_ahead_do_not_concern_the_start(
    conninfo: str, connection: Connection, tmp_path: Path
) -> None:
    book = LogBook()
    await connection.execute(
        "DO $$ BEGIN EXECUTE format('DROP TABLE heartbeats_%s',"
        " to_char((now() AT TIME ZONE 'UTC')::date + 7, 'YYYYMMDD')); END $$"
    )
    await connection.execute(_NO_MORE_TABLES.encode())

    welcome = await introduce(a_setting(conninfo, tmp_path), conninfo, book.log)

    assert welcome.datacenter_code == "VA"
    assert book.events() == []


async def test_a_user_who_cannot_make_even_today_is_refused(migrated: str, tmp_path: Path) -> None:
    async with await connect(migrated) as connection:
        await add_sample_datacenters(connection)
        await connection.execute(_NO_MORE_TABLES.encode())

    with pytest.raises(FatalError, match="no more tables"):
        await introduce(a_setting(migrated, tmp_path), migrated, LogBook().log)
