"""What was promised, what was kept, and what is left of the budget."""

from tests.dashboards import sql
from tests.dashboards.panels import (
    GREEN,
    ORANGE,
    POSTGRESQL,
    RED,
    YELLOW,
    Column,
    Page,
    Panel,
    Variable,
    lines,
    matrix,
    stats,
    table,
)
from tests.dashboards.postgresql_overview import MONITOR_COLUMNS

_TARGET = Variable(
    name="target",
    label="Target",
    about="The share of the time that is promised",
    choices=[
        ("99.9 %", "0.999"),
        ("99 %", "0.99"),
        ("99.5 %", "0.995"),
        ("99.95 %", "0.9995"),
        ("99.99 %", "0.9999"),
    ],
)
_GAPS = Variable(
    name="gaps",
    label="Time without a verdict",
    about="No leader, a fault of our own, a heartbeat that is missing",
    choices=[("left out", "uptime"), ("counts as down", "uptime_gaps_down")],
)
_MET = {"yes": ("met", GREEN), "no": ("missed", RED)}
# Of the monitors that had a verdict.
_MONITORS = f"""
SELECT u.*, CASE '${{gaps}}' WHEN 'uptime' THEN u.uptime ELSE u.uptime_gaps_down END AS kept,
       down_ms + CASE '${{gaps}}' WHEN 'uptime' THEN 0 ELSE without_verdict_ms END AS lost_ms,
       {sql.GOOD} + down_ms
       + CASE '${{gaps}}' WHEN 'uptime' THEN 0 ELSE without_verdict_ms END AS judged_ms
FROM uptimes({sql.FROM}, {sql.TO}, {sql.PLACES}) u
WHERE u.uptime IS NOT NULL
"""
_ALL = f"""
SELECT count(*) FILTER (WHERE kept >= ${{target}}) AS met,
       count(*) FILTER (WHERE kept < ${{target}}) AS missed,
       uptime_share((sum(judged_ms) - sum(lost_ms))::bigint, sum(judged_ms)::bigint) AS kept,
       uptime_share(sum({sql.GOOD} + down_ms)::bigint,
                    sum({sql.GOOD} + down_ms + without_verdict_ms)::bigint) AS coverage
FROM ({_MONITORS}) each
"""
_EACH = f"""
SELECT each.monitor_id, m.monitor, CASE WHEN kept >= ${{target}} THEN 'yes' ELSE 'no' END AS met,
       kept, coverage, lost_ms, judged_ms * (1 - ${{target}}) AS budget_ms,
       1 - lost_ms / nullif(judged_ms * (1 - ${{target}}), 0) AS budget_left, each.checks,
       greatest(expected - each.checks, 0) AS absent, maintenance_ms, l.p95_ms
FROM ({_MONITORS}) each
JOIN monitors m USING (monitor_id)
LEFT JOIN latencies({sql.FROM}, {sql.TO}, 'total', {sql.PLACES}) l USING (monitor_id)
ORDER BY budget_left, kept, m.monitor
LIMIT 1000
"""
_GAPS_OF_DAYS = (
    "CASE '${gaps}' WHEN 'uptime' THEN 0 ELSE unknown_ms + no_leader_ms + missing_ms END"
)
_MONTHS = f"""
SELECT coalesce(monitor, 'gone') || ' (' || monitor_id || ')' AS monitor,
       to_char(month, 'YYYY-MM') AS month,
       uptime_share(good_ms, good_ms + down_ms + gaps_ms) AS kept
FROM (
    SELECT monitor_id, monitor, date_trunc('month', day, 'UTC') AT TIME ZONE 'UTC' AS month,
           sum({sql.GOOD}::bigint)::bigint AS good_ms, sum(down_ms)::bigint AS down_ms,
           sum({_GAPS_OF_DAYS})::bigint AS gaps_ms
    FROM monitor_days
    WHERE day >= date_trunc('month', now() - interval '11 months', 'UTC') AND {sql.IN_PLACES}
    GROUP BY 1, 2, 3) each
WHERE good_ms + down_ms + gaps_ms > 0
ORDER BY month, monitor
LIMIT 12000
"""
_DAYS = f"""
SELECT day AS time, monitor AS metric,
       uptime_share(sum({sql.GOOD}::bigint)::bigint,
                    sum({sql.GOOD}::bigint + down_ms)::bigint)::float8 AS uptime
FROM monitor_days
WHERE $__timeFilter(day) AND {sql.IN_PLACES} AND monitor_id IN (
    SELECT monitor_id FROM uptimes({sql.FROM}, {sql.TO}, {sql.PLACES})
    WHERE down_ms > 0 ORDER BY uptime LIMIT 10)
GROUP BY day, monitor
ORDER BY time
"""
_OUTAGES = f"""
SELECT o.monitor_id, m.monitor, d.code AS datacenter, o.began, o.ended, o.down_ms, o.failed_checks
FROM outages({sql.FROM}, {sql.TO}, NULL, {sql.PLACES}) o
JOIN monitors m USING (monitor_id)
JOIN datacenters d ON d.id = o.datacenter_id
ORDER BY o.down_ms DESC, o.began DESC
LIMIT 100
"""


def _kept() -> list[Panel]:
    return [
        stats(
            "In the chosen time",
            "How many monitors kept the target, and the uptime of all together.",
            sql.rows(_ALL),
            empty="no verdict in this time",
            columns={
                "met": Column(title="Met the target", steps=((None, ORANGE), (1, GREEN))),
                "missed": Column(title="Missed it", steps=((None, GREEN), (1, RED))),
                "kept": Column(title="Uptime of all", unit="percentunit", decimals=4),
                "coverage": Column(title="Coverage", unit="percentunit", decimals=4),
            },
        ),
        table(
            "Each monitor",
            "What it may lose, what it lost, and what is left; below zero the target is missed."
            " Maintenance counts in neither.",
            sql.rows(_EACH),
            height=12,
            empty="no verdict in this time",
            columns=MONITOR_COLUMNS
            | {
                "met": Column(title="Target", words=_MET, width=90),
                "kept": Column(title="Uptime", unit="percentunit", decimals=4),
                "coverage": Column(title="Coverage", unit="percentunit", decimals=3),
                "lost_ms": Column(title="Lost", unit="ms"),
                "budget_ms": Column(title="May lose", unit="ms"),
                "budget_left": Column(
                    title="Left",
                    unit="percentunit",
                    decimals=0,
                    steps=((None, RED), (0, ORANGE), (0.25, GREEN)),
                ),
                "checks": Column(title="Checks"),
                "absent": Column(title="Absent"),
                "maintenance_ms": Column(title="Maintenance", unit="ms"),
                "p95_ms": Column(title="95 % within", unit="ms", decimals=0),
            },
        ),
    ]


def _history() -> list[Panel]:
    return [
        matrix(
            "Uptime by month",
            "Of the last twelve months, UTC, whatever time is chosen; the present one to yesterday."
            " The colours are those of 99 % and 99.9 %.",
            sql.rows(_MONTHS),
            row="monitor",
            column="month",
            value="kept",
            cell=Column(
                unit="percentunit",
                decimals=3,
                steps=((None, RED), (0.99, YELLOW), (0.999, GREEN)),
            ),
            empty="no month yet",
        ),
        lines(
            "The ten that were down most, by day",
            "Uptime of each day, UTC, without time that has no verdict.",
            sql.series(_DAYS),
            unit="percentunit",
            low=None,
            high=1,
            empty="nothing was down",
        ),
        table(
            "Longest outages",
            "In the chosen time, by how long it was down.",
            sql.rows(_OUTAGES),
            width=12,
            height=8,
            empty="no outage in this time",
            columns=MONITOR_COLUMNS
            | {
                "datacenter": Column(title="Datacenter"),
                "began": Column(title="Began", width=170),
                "ended": Column(title="Ended", width=170),
                "down_ms": Column(title="Down for", unit="ms"),
                "failed_checks": Column(title="Failed checks"),
            },
        ),
    ]


PAGE = Page(
    uid="uptimeo-sla",
    title="UptimeO: SLA",
    about="Uptime against a target, the budget that is left, months and outages, from PostgreSQL.",
    source=POSTGRESQL,
    since="now-30d",
    refresh="5m",
    variables=[sql.DATACENTER, _TARGET, _GAPS],
    rows=[("Kept?", _kept()), ("History", _history())],
)
