"""`uptimeo db roles`: makes them once, keeps passwords to itself, prints before it does."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.support.commands import ran
from uptimeo.cli.db import db
from uptimeo.cli.doctor import doctor

_MADE = """
SELECT rolname FROM pg_roles WHERE rolname LIKE %s || '\\_%%' ORDER BY rolname
"""
_CODES = ("chi", "dam", "lon", "ny", "rdn", "sf", "sto", "syd", "va")


@pytest.fixture
def prefix(conninfo: str) -> Iterator[str]:
    """One of the test's own; its roles are dropped afterwards."""
    name = f"t{secrets.token_hex(4)}"
    yield name
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for (role,) in connection.execute(_MADE, (name,)).fetchall():
            for statement in ("DROP OWNED BY {}", "DROP ROLE {}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(role)))


def made(conninfo: str, prefix: str) -> list[str]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return [name for (name,) in connection.execute(_MADE, (prefix,)).fetchall()]


def test_a_dry_run_prints_the_sql_and_changes_nothing(conninfo: str, prefix: str) -> None:
    done = ran(db, "roles", "--dry-run", "--prefix", prefix, dsn=conninfo)

    assert f'CREATE ROLE "{prefix}_agent_va" LOGIN CONNECTION LIMIT 32;' in done.output
    assert f'TO "{prefix}_readonly"' in done.output
    assert made(conninfo, prefix) == []


def test_what_a_dry_run_prints_is_what_makes_the_roles(conninfo: str, prefix: str) -> None:
    printed = ran(db, "roles", "--dry-run", "--prefix", prefix, dsn=conninfo).output
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(printed.encode())

    groups = [f"{prefix}_{name}" for name in ("agent", "config", "readonly", "receiver")]
    agents = [f"{prefix}_agent_{code}" for code in _CODES]
    assert made(conninfo, prefix) == sorted([*groups, *agents])


def test_passwords_are_in_files_of_the_owner_alone_and_survive_a_second_run(
    conninfo: str, prefix: str, tmp_path: Path
) -> None:
    where = tmp_path / "passwords"
    command = ("roles", "--passwords", str(where), "--prefix", prefix)
    first = ran(db, *command, dsn=conninfo)
    before = {file.name: file.read_text().strip() for file in where.iterdir()}
    second = ran(db, *command[:-2], dsn=conninfo)

    with psycopg.connect(conninfo) as connection:
        query = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
        stored = connection.execute(query, (f"{prefix}_agent_va",)).fetchone()
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert sorted(before) == [f"{prefix}_agent_{code}" for code in _CODES]
    assert {file.stat().st_mode & 0o777 for file in where.iterdir()} == {0o600}
    assert {file.name: file.read_text().strip() for file in where.iterdir()} == before
    assert len(set(before.values())) == len(_CODES)
    assert not any(word in first.output + second.output for word in before.values())
    assert stored is not None
    assert stored[0].startswith("SCRAM-SHA-256$")


def test_a_password_file_that_others_may_read_is_refused(
    conninfo: str, prefix: str, tmp_path: Path
) -> None:
    (tmp_path / f"{prefix}_agent_va").write_text("known to all")
    (tmp_path / f"{prefix}_agent_va").chmod(0o644)

    done = ran(db, "roles", "--passwords", str(tmp_path), "--prefix", prefix, dsn=conninfo)

    assert done.exit_code != 0
    assert "chmod 600 it" in str(done.exception)
    assert made(conninfo, prefix) == []


def test_a_role_of_another_installation_is_left_alone(conninfo: str, prefix: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {prefix}_agent_va LOGIN".encode())

    done = ran(db, "roles", "--prefix", prefix, dsn=conninfo)

    assert done.exit_code != 0
    assert f"the role {prefix}_agent_va exists and is not of this database" in str(done.exception)
    assert made(conninfo, prefix) == [f"{prefix}_agent_va"]


def test_who_may_not_make_roles_is_told_so(conninfo: str, prefix: str) -> None:
    ran(db, "roles", "--prefix", prefix, dsn=conninfo)
    agent = psycopg.conninfo.make_conninfo(conninfo, user=f"{prefix}_agent_va")

    done = ran(db, "roles", dsn=agent)

    assert done.exit_code != 0
    assert "may not make roles" in str(done.exception)


def test_the_doctor_names_an_agents_role_that_may_do_too_much(conninfo: str, prefix: str) -> None:
    ran(db, "roles", "--prefix", prefix, dsn=conninfo)
    before = ran(doctor, dsn=conninfo)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(f"GRANT uptimeo TO {prefix}_agent_va".encode())
        after = ran(doctor, dsn=conninfo)
        connection.execute(f"REVOKE uptimeo FROM {prefix}_agent_va".encode())

    assert f"{prefix}_agent_va" not in before.output
    assert f"role {prefix}_agent_va\n  has the rights of the owner" in after.output
