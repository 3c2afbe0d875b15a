"""The tables of this release beside the older ones: configured, without heartbeats."""

from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from uptimeo.domain.errors import FatalError
from uptimeo.storage import definitions
from uptimeo.storage.adoption import conversion
from uptimeo.storage.adoption.older import CONFIG, CONTRACT, Column, Driver, Older

# The revision that makes the tables of the contract. Configuration is there for those after it, as
# in a database that was ours from the first.
FIRST = "0001"

_SQL = Path(__file__).parent / "sql"
_REVISION = """
SELECT version_num FROM uptimeo_staging.alembic_version
"""
_IS_STAGED = "SELECT to_regclass('uptimeo_staging.alembic_version') IS NOT NULL"
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid)
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ('uptimeo_staging.' || %s)::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
# Names that we need and somebody else has.
_TAKEN = """
SELECT string_agg(DISTINCT c.relname, ', ') FROM pg_class c JOIN pg_class s USING (relname)
WHERE c.relnamespace = quote_ident(%(schema)s)::regnamespace
  AND s.relnamespace = 'uptimeo_staging'::regnamespace AND s.relkind NOT IN ('i', 'I')
  AND c.relkind NOT IN ('i', 'I', 'S')
  AND c.oid NOT IN (SELECT uptimeo_older.older_relations(%(schema)s::name))
"""
_KEEP = "INSERT INTO uptimeo_older.kept_columns VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_KEPT = "SELECT older, ours FROM uptimeo_older.kept_columns WHERE table_name = %s ORDER BY older"
_KEYS: Mapping[str, str] = dict.fromkeys(CONFIG, "id") | {
    "datacenter_monitors": "datacenter_id, monitor_id"
}


def run_file(driver: Driver, name: str) -> None:
    """Run the statements of a file in `sql/`."""
    driver.execute((_SQL / name).read_bytes())


def build(driver: Driver, older: Older, upgrade: Callable[[str], None]) -> None:
    """Make or complete the staged tables, and bring the configuration as it is.

    `upgrade` runs the migrations up to a revision on this session's search_path. May be done
    again after a kill at any point. Raises FatalError where a name or a view is in the way.
    """
    driver.execute("SET search_path = uptimeo_staging")
    if _revision(driver) in (None, FIRST):
        upgrade(FIRST)
        with driver.transaction():
            _view_config(driver, older, {})
            sync_config(driver)
    upgrade("head")
    # Types of extra columns may be the older installation's own.
    _set_path(driver, "uptimeo_staging", older.schema)
    with driver.transaction():
        run_file(driver, "swap.sql")
        kept = {table: _keep_extra(driver, older, table) for table in CONTRACT}
    driver.execute("SET search_path = uptimeo_staging")
    definitions.apply(driver)
    _set_path(driver, "uptimeo_staging", older.schema)
    with driver.transaction():
        _refuse_taken(driver, older)
        _view_config(driver, older, kept)
        sync_config(driver)
        _view_heartbeats(driver, older, kept["api_heartbeats"])
    driver.execute("SELECT set_config('search_path', %s, false)", (older.path,))


def columns(driver: Driver, table: str) -> dict[str, Column]:
    """The columns of a staged table, in order."""
    return {
        name: Column(kind, default) for name, kind, default in driver.execute(_COLUMNS, (table,))
    }


def sync_config(driver: Driver) -> None:
    """Make the staged configuration say what the older says; what is the same is not touched."""
    for table in reversed(list(CONFIG)):
        key = _KEYS[table]
        _run(
            driver,
            f"DELETE FROM uptimeo_staging.{table} WHERE ({key}) NOT IN"
            f" (SELECT {key} FROM uptimeo_older.converted_{table})",
        )
    for table in CONFIG:
        cursor = _run(driver, f"SELECT * FROM uptimeo_older.converted_{table} LIMIT 0")
        _run(driver, _merge(table, [c.name for c in cursor.description or ()]))


def _merge(table: str, names: list[str]) -> str:
    quoted = [sql.Identifier(name).as_string() for name in names]
    given = [name for name in quoted if name.strip('"') not in _KEYS[table].split(", ")]
    new = ", ".join(f"excluded.{name}" for name in given)
    # As text: a column of type json cannot be compared.
    change = (
        f"DO UPDATE SET ({', '.join(given)}) = ROW({new})"
        f" WHERE ROW({', '.join(f't.{name}::text' for name in given)})"
        f" IS DISTINCT FROM ROW({', '.join(f'excluded.{name}::text' for name in given)})"
        if given
        else "DO NOTHING"
    )
    return (
        f"INSERT INTO uptimeo_staging.{table} AS t ({', '.join(quoted)})"
        f" SELECT {', '.join(quoted)} FROM uptimeo_older.converted_{table}"
        f" ON CONFLICT ({_KEYS[table]}) {change}"
    )


def _revision(driver: Driver) -> str | None:
    staged = driver.execute(_IS_STAGED).fetchone()
    row = driver.execute(_REVISION).fetchone() if staged and staged[0] else None
    return None if row is None else row[0]


def _keep_extra(driver: Driver, older: Older, table: str) -> dict[str, str]:
    """Add the extra columns of an older table to ours; answers with their names there."""
    have = columns(driver, table)
    # What people read is a view, which shows each column of the table.
    stored = "heartbeats" if table == "api_heartbeats" else table
    for name, new in conversion.kept(older, table, have).items():
        # A later release may stage more columns: what was decided first stays.
        if driver.execute(_KEEP, (table, name, new)).rowcount:
            column = older.beyond(table)[name]
            default = f" DEFAULT {column.default}" if column.default else ""
            _run(
                driver,
                f"ALTER TABLE uptimeo_staging.{stored} ADD COLUMN"
                f" {sql.Identifier(new).as_string()} {column.type}{default}",
            )
    return dict(driver.execute(_KEPT, (table,)).fetchall())


def _view_config(driver: Driver, older: Older, kept: Mapping[str, Mapping[str, str]]) -> None:
    for table in CONFIG:
        view_as(driver, f"converted_{table}", conversion.config(older, table, kept.get(table, {})))


def _view_heartbeats(driver: Driver, older: Older, kept: Mapping[str, str]) -> None:
    ours = columns(driver, "api_heartbeats")
    view_as(driver, "converted_api_heartbeats", conversion.heartbeats(older, ours, kept))
    schema = sql.Identifier(older.schema).as_string()
    view_as(driver, "converted_ids", f"SELECT id FROM {schema}.api_heartbeats")


def view_as(driver: Driver, name: str, select: str) -> None:
    """Make a view of the adoption anew."""
    _run(driver, f"DROP VIEW IF EXISTS uptimeo_older.{name}")
    _run(driver, f"CREATE VIEW uptimeo_older.{name} AS {select}")


def _refuse_taken(driver: Driver, older: Older) -> None:
    row = driver.execute(_TAKEN, {"schema": older.schema}).fetchone()
    if row and row[0]:
        raise FatalError(
            f"cannot adopt: the schema {older.schema} has {row[0]}, and UptimeO needs"
            " these names: rename them, then run `uptimeo migrate` again"
        )


def _set_path(driver: Driver, *schemas: str) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, schemas))
    driver.execute(sql.SQL("SET search_path = {}").format(names))


def _run(driver: Driver, statement: str) -> psycopg.Cursor[tuple[object, ...]]:
    # Names come quoted, from the catalogue of the database itself.
    return driver.execute(statement.encode())
