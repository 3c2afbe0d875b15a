"""Agents and leadership: who checks, who stands by, and what was lost between them."""

from tests.dashboards import sql
from tests.dashboards.panels import (
    GREEN,
    GREY,
    ORANGE,
    POSTGRESQL,
    RED,
    VIOLET,
    YELLOW,
    Column,
    Page,
    Panel,
    lines,
    stats,
    table,
    timeline,
)

_BAD = ((None, GREEN), (1, RED))

_NOW = f"""
SELECT (SELECT count(*) FROM agent_states WHERE state <> 'silent' AND {sql.IN_PLACES}) AS agents,
       (SELECT count(*) FROM agent_states WHERE state = 'silent' AND {sql.IN_PLACES}) AS silent,
       count(*) FILTER (WHERE leader IS NULL) AS without_leader,
       count(*) FILTER (WHERE alive < 2) AS without_standby
FROM (
    SELECT d.datacenter_id,
           (SELECT leader FROM leadership l
            WHERE l.datacenter_id = d.datacenter_id AND leads_now) AS leader,
           (SELECT count(*) FROM agent_states a
            WHERE a.datacenter_id = d.datacenter_id AND a.state <> 'silent') AS alive
    FROM (SELECT DISTINCT datacenter_id FROM leadership WHERE {sql.IN_PLACES}) d) each
"""
_WINDOW = f"""
SELECT (SELECT count(*) FROM leadership
        WHERE $__timeFilter(started_at) AND {sql.IN_PLACES}) AS terms,
       fenced, unusual, (SELECT min(days_ahead) FROM partition_state) AS days_ahead
FROM (
    SELECT coalesce(sum(rows), 0) AS unusual,
           coalesce(sum(rows) FILTER (WHERE kind = 'set aside: executed after its term'), 0)
               AS fenced
    FROM unusual_heartbeats_since({sql.FROM})
    WHERE day <= {sql.TO} AND {sql.IN_PLACES}) odd
"""
_AGENTS = f"""
SELECT datacenter, agent, state, term, host, version, started_at, last_seen, spool_rows,
       spool_bytes, dropped, loop_lag_p99_ms, peers_heard
FROM agent_states
WHERE {sql.IN_PLACES}
ORDER BY datacenter, state, agent
"""
_LEADERS = f"""
SELECT greatest(started_at, {sql.FROM}) AS time, datacenter, leader || ', term ' || term AS leader
FROM leadership
WHERE started_at <= {sql.TO} AND coalesce(ended_at, {sql.TO}) >= {sql.FROM} AND {sql.IN_PLACES}
UNION ALL
SELECT ended_at, datacenter, NULL
FROM leadership l
WHERE $__timeFilter(ended_at) AND {sql.IN_PLACES} AND NOT EXISTS (
    SELECT FROM leadership n
    WHERE n.datacenter_id = l.datacenter_id AND n.started_at = l.ended_at)
ORDER BY time
"""
_TERMS = f"""
SELECT started_at, datacenter, term, leader, ended_at, leads_now::text,
       extract(epoch FROM coalesce(ended_at, now()) - started_at) AS lasted_s
FROM leadership
WHERE (started_at, coalesce(ended_at, now())) OVERLAPS ({sql.FROM}, {sql.TO}) AND {sql.IN_PLACES}
ORDER BY started_at DESC
LIMIT 200
"""
_BLIND = sql.history("max(no_leader_ms) AS blind")
_ABSENT = sql.history("sum(absent) AS absent")
_UNUSUAL = f"""
SELECT day, coalesce(datacenter, 'id ' || datacenter_id) AS datacenter, kind, rows, first_at,
       last_at
FROM unusual_heartbeats_since({sql.FROM})
WHERE day <= {sql.TO}
ORDER BY day DESC, rows DESC
LIMIT 200
"""
_PARTITIONS = """
SELECT parent, days_ahead, partitions, first_day, last_day, keep_days, rows_estimate, bytes
FROM partition_state
ORDER BY bytes DESC
"""
_INVALID = """
SELECT monitor_id, monitor, type, config_error
FROM monitors
WHERE enabled AND config_error IS NOT NULL
ORDER BY monitor
"""


def _now() -> list[Panel]:
    return [
        stats(
            "Now",
            "Agents that were heard of within 30 seconds, and datacenters that lack a leader or a"
            " second agent.",
            sql.rows(_NOW),
            width=12,
            columns={
                "agents": Column(title="Agents", steps=((None, RED), (1, GREEN))),
                "silent": Column(title="Silent", steps=((None, GREEN), (1, ORANGE))),
                "without_leader": Column(title="Datacenters without leader", steps=_BAD),
                "without_standby": Column(
                    title="... without standby", steps=((None, GREEN), (1, YELLOW))
                ),
            },
        ),
        stats(
            "In the chosen time",
            "Terms that began; checks that ran after their term and were fenced off; all heartbeats"
            " that no agent in order makes (of whole UTC days); days after today for which there"
            " are partitions.",
            sql.rows(_WINDOW),
            width=12,
            columns={
                "terms": Column(title="Terms began", steps=((None, GREEN), (10, ORANGE))),
                "fenced": Column(title="Fenced off", steps=_BAD),
                "unusual": Column(title="Unusual heartbeats", steps=((None, GREEN), (1, VIOLET))),
                "days_ahead": Column(
                    title="Days of partitions ahead", steps=((None, RED), (3, GREEN))
                ),
            },
        ),
        table(
            "Agents",
            "What each said of itself last; they report every ten seconds.",
            sql.rows(_AGENTS),
            height=9,
            empty="no agent has run yet",
            columns={
                "datacenter": Column(title="Datacenter", width=100),
                "agent": Column(title="Agent"),
                "state": Column(title="State", states=True, width=100),
                "term": Column(title="Term", width=70),
                "host": Column(title="Host"),
                "version": Column(title="Version", width=90),
                "started_at": Column(title="Runs since", width=170),
                "last_seen": Column(title="Last heard", width=170),
                "spool_rows": Column(
                    title="Waiting", steps=((None, GREY), (1000, ORANGE)), width=80
                ),
                "spool_bytes": Column(title="Spool", unit="bytes", width=80),
                "dropped": Column(title="Lost", steps=((None, GREY), (1, RED)), width=60),
                "loop_lag_p99_ms": Column(
                    title="Loop late",
                    unit="ms",
                    decimals=1,
                    steps=((None, GREY), (20, ORANGE)),
                    width=90,
                ),
                "peers_heard": Column(title="Hears", width=70),
            },
        ),
    ]


def _leadership() -> list[Panel]:
    return [
        timeline(
            "Who led",
            "A gap: nobody, from the end of a term to the next.",
            sql.rows(_LEADERS),
            words={},
            transformations=[
                {
                    "id": "partitionByValues",
                    "options": {"fields": ["datacenter"], "naming": {"asLabels": True}},
                }
            ],
        ),
        lines(
            "Time without a leader",
            "The most that a monitor missed by it, by hour; by day for more than a week.",
            sql.series(_BLIND),
            unit="ms",
            bars=True,
        ),
        lines(
            "Checks that were not made",
            "Due, and without a heartbeat: nobody led, or it is missing.",
            sql.series(_ABSENT),
            unit="short",
            bars=True,
        ),
        table(
            "Terms",
            "Each leadership that touches the chosen time, the newest first.",
            sql.rows(_TERMS),
            width=24,
            height=8,
            empty="nobody led in this time",
            columns={
                "started_at": Column(title="Began", width=170),
                "datacenter": Column(title="Datacenter", width=100),
                "term": Column(title="Term", width=80),
                "leader": Column(title="Leader"),
                "ended_at": Column(title="Ended", width=170),
                "leads_now": Column(
                    title="Now", width=90, words={"true": ("leads", GREEN), "false": ("no", GREY)}
                ),
                "lasted_s": Column(title="Lasted", unit="s"),
            },
        ),
    ]


def _upkeep() -> list[Panel]:
    return [
        table(
            "Unusual heartbeats",
            "Set aside, or stored though nothing was due: an agent that went on after its term, a"
            " wrong datacenter, a row that PostgreSQL refuses.",
            sql.rows(_UNUSUAL),
            width=14,
            height=7,
            empty="none: all is in order",
            columns={
                "day": Column(title="Day", width=120),
                "datacenter": Column(title="Datacenter", width=100),
                "kind": Column(title="Kind"),
                "rows": Column(title="Heartbeats", width=100),
                "first_at": Column(title="First", width=170),
                "last_at": Column(title="Last", width=170),
            },
        ),
        table(
            "Rows that cannot be used",
            "Monitors that are not checked because of what their row says.",
            sql.rows(_INVALID),
            width=10,
            height=7,
            empty="none: all can be used",
            columns={
                "monitor_id": Column(title="Id", width=70),
                "monitor": Column(title="Monitor"),
                "type": Column(title="Type", width=80),
                "config_error": Column(title="Reason"),
            },
        ),
        table(
            "Tables",
            "Partitions ahead of today. Without one for its day a heartbeat is set aside.",
            sql.rows(_PARTITIONS),
            height=7,
            columns={
                "parent": Column(title="Table"),
                "days_ahead": Column(
                    title="Days ahead", steps=((None, RED), (3, GREEN)), width=100
                ),
                "partitions": Column(title="Partitions", width=100),
                "first_day": Column(title="First day", width=120),
                "last_day": Column(title="Last day", width=120),
                "keep_days": Column(title="Days kept", empty="for ever", width=90),
                "rows_estimate": Column(title="Rows, about", unit="short", width=110),
                "bytes": Column(title="Size", unit="bytes", width=100),
            },
        ),
    ]


PAGE = Page(
    uid="uptimeo-agents",
    title="UptimeO: agents and leadership",
    about="Who checks in each datacenter, who stands by, and what was lost, from PostgreSQL.",
    source=POSTGRESQL,
    since="now-24h",
    variables=[sql.DATACENTER],
    rows=[("Agents", _now()), ("Leadership", _leadership()), ("Upkeep", _upkeep())],
)
