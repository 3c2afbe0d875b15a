"""What does each older row become? As SQL: one SELECT a table, all values valid for our columns."""

from collections.abc import Collection, Mapping

from psycopg import sql

from uptimeo.storage.adoption.older import CONFIG, HEARTBEATS, Column, Older

_INTEGERS = {"smallint", "integer", "bigint"}
# Rows without any valid interval get that of `uptimeo monitor add`.
_DEFAULT_INTERVAL_S = 60
_MAX_INT = 2147483647

# {column} is the text or whole number of a column of the older row `o`, NULL where it is no such.
_CONFIG: Mapping[str, str] = {
    "regions": """
SELECT o.id, coalesce({name:50}, 'region ' || o.id) AS name,
       uptimeo_older.told_apart({region_code:20},
           row_number() OVER (PARTITION BY {region_code:20} ORDER BY o.id),
           o.id, 20) AS region_code,
       {group_name:20} AS group_name{extra}
FROM {schema}.regions o""",
    "datacenters": """
SELECT o.id, uptimeo_older.told_apart(coalesce({code:10}, 'id' || o.id),
           row_number() OVER (PARTITION BY coalesce({code:10}, 'id' || o.id) ORDER BY o.id),
           o.id, 10) AS code,
       coalesce({name:50}, 'datacenter ' || o.id) AS name,
       (SELECT r.id FROM {schema}.regions r WHERE r.id = o.region_id) AS region_id{extra}
FROM {schema}.datacenters o
UNION ALL
SELECT u.id, CASE u.id WHEN 0 THEN 'unknown' ELSE 'id' || u.id END,
       CASE u.id WHEN 0 THEN 'Unknown' ELSE 'Unknown ' || u.id END, NULL{no_extra}
FROM (SELECT coalesce(datacenter_id, 0) AS id FROM {schema}.agents
      UNION SELECT d.datacenter_id FROM {schema}.datacenter_monitors d
      JOIN {schema}.api_monitors m ON m.id = d.monitor_id WHERE d.datacenter_id IS NOT NULL) u
WHERE u.id NOT IN (SELECT id FROM {schema}.datacenters)""",
    "agents": """
SELECT o.id, uptimeo_older.told_apart(coalesce({name:50}, 'agent ' || o.id),
           row_number() OVER (PARTITION BY coalesce(o.datacenter_id, 0),
                              coalesce({name:50}, 'agent ' || o.id) ORDER BY o.id),
           o.id, 50) AS name,
       coalesce(o.datacenter_id, 0) AS datacenter_id{extra}
FROM {schema}.agents o""",
    "schedules": """
SELECT o.id, uptimeo_older.told_apart(coalesce({name:50}, 'schedule ' || o.id),
           row_number() OVER (PARTITION BY coalesce({name:50}, 'schedule ' || o.id) ORDER BY o.id),
           o.id, 50) AS name,
       CASE WHEN o.interval >= 1 THEN least(o.interval, 86400) ELSE {default} END AS interval,
       coalesce(o.include_response_body, false) AS include_response_body,
       least(CASE WHEN o.thresholds_warning > 0 THEN o.thresholds_warning END,
             CASE WHEN o.thresholds_warning > 0 AND o.thresholds_critical > 0
                  THEN o.thresholds_critical END) AS thresholds_warning,
       CASE WHEN o.thresholds_critical > 0 THEN o.thresholds_critical END
           AS thresholds_critical{extra}
FROM {schema}.schedules o""",
    "api_monitors": """
SELECT o.id, coalesce({name:100}, 'monitor ' || o.id) AS name,
       CASE WHEN trim({method:10}) ~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]+$' THEN trim({method:10})
            ELSE 'GET' END AS method,
       coalesce({type:10}, 'HTTP') AS type, coalesce(o.url, '') AS url,
       (SELECT s.id FROM {schema}.schedules s WHERE s.id = o.schedule_id) AS schedule_id,
       {headers} AS headers, {body} AS body{extra}
FROM {schema}.api_monitors o""",
    "datacenter_monitors": """
SELECT DISTINCT o.datacenter_id, o.monitor_id{extra} FROM {schema}.datacenter_monitors o
JOIN {schema}.api_monitors m ON m.id = o.monitor_id WHERE o.datacenter_id IS NOT NULL""",
}
# What our columns of a heartbeat are, where an older one of the same name does not say it.
_DERIVED: Mapping[str, str] = {
    "id": "o.id",
    "scheduled_at": "uptimeo_older.slot({executed_at}, o.id)",
    "executed_at": "coalesce({executed_at},"
    " uptimeo_older.slot({executed_at}, o.id) AT TIME ZONE 'UTC')",
    "monitor_id": "coalesce(o.monitor_id, 0)",
    "datacenter_id": "coalesce(a.datacenter_id, 0)",
    "status": "uptimeo_staging.heartbeat_status(o.success, o.response_time_ms::real,"
    " o.warning_threshold_ms::int, o.critical_threshold_ms::int)",
}


def kept(older: Older, table: str, ours: Collection[str]) -> dict[str, str]:
    """Extra columns and what they are called beside ours: their own name, if we have none such."""
    return {name: f"older_{name}" if name in ours else name for name in older.beyond(table)}


def config(older: Older, table: str, kept: Mapping[str, str]) -> str:
    """The rows of a configuration table, with these extra columns under these names."""
    extra = "".join(f", o.{_quoted(name)} AS {_quoted(new)}" for name, new in kept.items())
    columns = {
        name: _Text(f"o.{name}", older.tables[table][name].type) for name in CONFIG[table].split()
    }
    return _CONFIG[table].format(
        **columns,
        schema=_quoted(older.schema),
        default=_DEFAULT_INTERVAL_S,
        extra=extra,
        no_extra=", NULL" * len(kept),
    )


def heartbeats(older: Older, ours: Mapping[str, Column], kept: Mapping[str, str]) -> str:
    """The heartbeats, with the columns that we have there, in order; `kept` as for `config`."""
    extra = {new: name for name, new in kept.items()}
    values = ", ".join(
        f"{_heartbeat_value(older, name, column, extra)} AS {_quoted(name)}"
        for name, column in ours.items()
    )
    schema = _quoted(older.schema)
    return (
        f"SELECT {values} FROM {schema}.api_heartbeats o"
        f" LEFT JOIN {schema}.agents a ON a.id = o.agent_id"
    )


def _heartbeat_value(older: Older, name: str, ours: Column, kept: Mapping[str, str]) -> str:
    columns = older.tables["api_heartbeats"]
    if name in _DERIVED:
        zoned = columns["executed_at"].type == "timestamp with time zone"
        at = "(o.executed_at AT TIME ZONE 'UTC')" if zoned else "o.executed_at::timestamp"
        return _DERIVED[name].format(executed_at=at)
    if name in kept:
        return f"o.{_quoted(kept[name])}"
    if name in HEARTBEATS.split():
        return _value(f"o.{_quoted(name)}", columns[name].type, ours.type)
    return f"{ours.default or 'NULL'}::{ours.type}"


def _value(column: str, older: str, ours: str) -> str:
    if older == ours:
        return column
    if ours == "jsonb":
        return _json(column, older)
    if ours.startswith("character varying"):
        return f"left({column}::text, {ours.partition('(')[2].rstrip(')') or 'NULL'})"
    if ours == "integer" and older not in _INTEGERS - {"bigint"}:
        return f"least(greatest({column}, -{_MAX_INT}), {_MAX_INT})::integer"
    return f"{column}::{ours}"


def _json(column: str, older: str) -> str:
    if older == "jsonb":
        return column
    text = f"{column}::text"
    return (
        f"CASE WHEN pg_input_is_valid({text}, 'jsonb') THEN {text}::jsonb ELSE to_jsonb({text}) END"
    )


class _Text:
    """A column within a template: `{name:50}` is its text, cut; `{name}` its JSON."""

    def __init__(self, column: str, kind: str) -> None:
        self._column, self._kind = column, kind

    def __format__(self, width: str) -> str:
        return f"left({self._column}::text, {width})" if width else _json(self._column, self._kind)


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string()
