"""One monitor: how it is, where the time goes, and why it failed."""

from tests.dashboards import sql
from tests.dashboards.panels import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PHASES,
    POSTGRESQL,
    RED,
    YELLOW,
    Column,
    Json,
    Page,
    Panel,
    Variable,
    lines,
    stats,
    table,
    timeline,
)
from tests.dashboards.postgresql_overview import FAILURE_COLUMNS

_UPTIME = ((None, RED), (0.99, YELLOW), (0.999, GREEN))

_MONITOR = Variable(
    name="monitor",
    label="Monitor",
    about="The one that is shown",
    query="SELECT monitor AS __text, monitor_id::text AS __value FROM monitors"
    " ORDER BY lower(monitor), monitor_id",
)
_NOW = f"""
SELECT datacenter, state, since, last_slot, response_time_ms, response_status_code, attempts,
       failed_phase, error_type, error_message, overdue::text
FROM monitor_states
WHERE monitor_id = {sql.MONITOR} AND {sql.IN_PLACES}
ORDER BY datacenter
"""
_WINDOW = f"""
SELECT uptime, coverage, down_ms, checks, expected - checks AS absent
FROM uptime({sql.MONITOR}, {sql.FROM}, {sql.TO}, {sql.PLACES})
"""
_QUANTILES = f"""
SELECT max(ms) FILTER (WHERE quantile = 0.5) AS p50, max(ms) FILTER (WHERE quantile = 0.95) AS p95,
       max(ms) FILTER (WHERE quantile = 0.99) AS p99
FROM latency_percentiles({sql.MONITOR}, {sql.FROM}, {sql.TO}, 'total', {sql.PLACES})
"""
# The worst that was in a stretch; numbers are places in TIMELINE.
_STATES = f"""
SELECT bucket AS time, d.code AS metric,
       CASE WHEN u.down_ms > 0 THEN 3 WHEN u.critical_ms > 0 THEN 2 WHEN u.degraded_ms > 0 THEN 1
            WHEN u.no_leader_ms > 0 THEN 5 WHEN u.unknown_ms > 0 THEN 4
            WHEN u.missing_ms > 0 THEN 7 WHEN u.up_ms > 0 THEN 0
            WHEN u.maintenance_ms > 0 THEN 6 END AS state
FROM {sql.BUCKETS}
CROSS JOIN LATERAL uptime_by_datacenter(
    {sql.MONITOR}, bucket, bucket + {sql.STEP}, {sql.PLACES}) u
JOIN datacenters d ON d.id = u.datacenters[1]
WHERE u.window_ms > u.not_scheduled_ms
ORDER BY time
"""
_BY_PLACE = f"""
SELECT bucket AS time, d.code AS metric, l.ms AS p95
FROM uptime_by_datacenter({sql.MONITOR}, {sql.FROM}, {sql.TO}, {sql.PLACES}) u
JOIN datacenters d ON d.id = u.datacenters[1]
CROSS JOIN {sql.BUCKETS}
CROSS JOIN LATERAL latency_percentiles(
    {sql.MONITOR}, bucket, bucket + {sql.STEP}, 'total', u.datacenters, '{{0.95}}') l
WHERE u.checks > 0 AND l.ms IS NOT NULL
ORDER BY time
"""
_OVER_TIME = f"""
SELECT bucket AS time, max(ms) FILTER (WHERE quantile = 0.5) AS "half within",
       max(ms) FILTER (WHERE quantile = 0.95) AS "95 % within",
       max(ms) FILTER (WHERE quantile = 0.99) AS "99 % within"
FROM {sql.BUCKETS}
CROSS JOIN LATERAL latency_percentiles(
    {sql.MONITOR}, bucket, bucket + {sql.STEP}, 'total', {sql.PLACES}) l
WHERE ms IS NOT NULL
GROUP BY bucket
ORDER BY time
"""
_PHASES_OVER_TIME = f"""
SELECT bucket AS time, l.phase AS metric, l.mean_ms AS mean
FROM {sql.BUCKETS}
CROSS JOIN LATERAL latency_phases({sql.MONITOR}, bucket, bucket + {sql.STEP}, {sql.PLACES}) l
WHERE l.phase NOT IN ('total', 'ttfb')
ORDER BY time, array_position('{{dns,connect,tls,wait,transfer}}', l.phase)
"""
_PHASES = f"""
SELECT phase, checks, min_ms, mean_ms, p50_ms, p95_ms, p99_ms, max_ms, share
FROM latency_phases({sql.MONITOR}, {sql.FROM}, {sql.TO}, {sql.PLACES})
"""
_KINDS = f"""
SELECT d.code AS datacenter, u.uptime, u.coverage, u.up_ms, u.degraded_ms, u.critical_ms,
       u.down_ms, u.maintenance_ms, u.unknown_ms, u.no_leader_ms, u.missing_ms
FROM uptime_by_datacenter({sql.MONITOR}, {sql.FROM}, {sql.TO}, {sql.PLACES}) u
JOIN datacenters d ON d.id = u.datacenters[1]
WHERE u.window_ms > u.not_scheduled_ms
ORDER BY datacenter
"""
_OUTAGES = f"""
SELECT o.began, o.ended, d.code AS datacenter, o.down_ms, o.failed_checks
FROM outages({sql.FROM}, {sql.TO}, {sql.MONITOR}, {sql.PLACES}) o
JOIN datacenters d ON d.id = o.datacenter_id
ORDER BY o.began DESC
LIMIT 200
"""
_FAILURES = f"""
SELECT slot, datacenter, status, failed_phase, error_type, error_message, response_status_code,
       address, response_time_ms, attempts
FROM failures
WHERE slot BETWEEN {sql.LAST_DAY} AND {sql.TO} AND monitor_id = {sql.MONITOR}
  AND {sql.IN_PLACES}
ORDER BY slot DESC
LIMIT 200
"""
_CHANGES = f"""
SELECT changed_at, datacenter, fact, old_value, new_value
FROM target_changes
WHERE $__timeFilter(changed_at) AND monitor_id = {sql.MONITOR} AND {sql.IN_PLACES}
ORDER BY changed_at DESC
LIMIT 200
"""
_OUTAGE_MARKS = f"""
SELECT o.began AS time, o.ended AS timeend, 'Down in ' || d.code AS text
FROM outages({sql.FROM}, {sql.TO}, {sql.MONITOR}, {sql.PLACES}) o
JOIN datacenters d ON d.id = o.datacenter_id
LIMIT 200
"""
_CHANGE_MARKS = f"""
SELECT changed_at AS time, 'Another ' || fact || ' in ' || datacenter AS text
FROM target_changes
WHERE $__timeFilter(changed_at) AND monitor_id = {sql.MONITOR} AND fact <> 'address'
  AND {sql.IN_PLACES}
LIMIT 200
"""


def _ms(title: str) -> Column:
    return Column(title=title, unit="ms", decimals=1)


def _marks(name: str, colour: str, text: str) -> Json:
    query = sql.rows(text)
    return {
        "name": name,
        "enable": True,
        "iconColor": colour,
        "datasource": POSTGRESQL.json(),
        "target": query.target(POSTGRESQL, "marks"),
    }


def _now() -> list[Panel]:
    return [
        table(
            "Now",
            "Its latest check in each datacenter.",
            sql.rows(_NOW),
            height=6,
            empty="it has not been checked in the chosen datacenters",
            columns={
                "datacenter": Column(title="Datacenter", width=100),
                "state": Column(title="State", states=True, width=100),
                "since": Column(title="Since", width=170),
                "last_slot": Column(title="Last check", width=170),
                "response_time_ms": Column(title="Took", unit="ms", decimals=1, width=90),
                "response_status_code": Column(title="Answer", width=80),
                "attempts": Column(title="Tries", width=70),
                "failed_phase": Column(title="Failed in", width=90),
                "error_type": Column(title="Error", width=150),
                "error_message": Column(title="Reason"),
                "overdue": Column(
                    title="Overdue",
                    width=80,
                    words={"true": ("overdue", RED), "false": ("no", GREY)},
                ),
            },
        ),
        stats(
            "In the chosen time",
            "Over the chosen datacenters. Absent: checks that were due and not made.",
            sql.rows(_WINDOW),
            width=14,
            empty="nothing was due",
            columns={
                "uptime": Column(title="Uptime", unit="percentunit", decimals=3, steps=_UPTIME),
                "coverage": Column(title="Coverage", unit="percentunit", decimals=3, steps=_UPTIME),
                "down_ms": Column(title="Down for", unit="ms", steps=((None, GREEN), (1, RED))),
                "checks": Column(title="Checks"),
                "absent": Column(title="Absent", steps=((None, GREEN), (1, ORANGE))),
            },
        ),
        stats(
            "Response time",
            "Of successful checks, at most 2.5 % off.",
            sql.rows(_QUANTILES),
            width=10,
            empty="nothing measured",
            columns={
                "p50": _ms("Half within"),
                "p95": _ms("95 % within"),
                "p99": _ms("99 % within"),
            },
        ),
    ]


def _over_time() -> list[Panel]:
    return [
        timeline(
            "State",
            "The worst that was in each stretch of time, in each datacenter.",
            sql.series(_STATES),
        ),
        lines(
            "Where the time goes",
            "Mean of each phase of successful checks, on top of each other. HTTP, from the lookup"
            " of the name to the last byte.",
            sql.series(_PHASES_OVER_TIME),
            unit="ms",
            stacked=True,
            colours={name: PHASES[name] for name in ("dns", "connect", "tls", "wait", "transfer")},
        ),
        lines(
            "Response time",
            "Quantiles over the chosen datacenters.",
            sql.series(_OVER_TIME),
            unit="ms",
        ),
        lines(
            "Response time by datacenter",
            "95 of 100 successful checks took no longer.",
            sql.series(_BY_PLACE),
            unit="ms",
        ),
        table(
            "Phases",
            "Over the chosen time. ttfb: all before the first byte of the answer.",
            sql.rows(_PHASES),
            width=12,
            height=8,
            empty="nothing measured in this time",
            columns={
                "phase": Column(title="Phase"),
                "checks": Column(title="Checks"),
                "min_ms": _ms("Least"),
                "mean_ms": _ms("Mean"),
                "p50_ms": _ms("Half within"),
                "p95_ms": _ms("95 % within"),
                "p99_ms": _ms("99 % within"),
                "max_ms": _ms("Most"),
                "share": Column(title="Share", unit="percentunit", decimals=0),
            },
        ),
    ]


def _reasons() -> list[Panel]:
    kinds = {
        "up_ms": "Up",
        "degraded_ms": "Degraded",
        "critical_ms": "Critical",
        "down_ms": "Down",
        "maintenance_ms": "Maintenance",
        "unknown_ms": "Unknown",
        "no_leader_ms": "No leader",
        "missing_ms": "Missing",
    }
    return [
        table(
            "Kinds of time",
            "How long it was what, in each datacenter. Unknown, no leader and missing are time"
            " without a verdict.",
            sql.rows(_KINDS),
            width=14,
            height=7,
            empty="nothing was due in this time",
            columns={
                "datacenter": Column(title="Datacenter"),
                "uptime": Column(title="Uptime", unit="percentunit", decimals=3, steps=_UPTIME),
                "coverage": Column(title="Coverage", unit="percentunit", decimals=3, steps=_UPTIME),
            }
            | {name: Column(title=title, unit="ms") for name, title in kinds.items()},
        ),
        table(
            "Outages",
            "Began and ended to five minutes; down is exact.",
            sql.rows(_OUTAGES),
            width=10,
            height=7,
            empty="no outage in this time",
            columns={
                "began": Column(title="Began", width=170),
                "ended": Column(title="Ended", width=170),
                "datacenter": Column(title="Datacenter"),
                "down_ms": Column(title="Down for", unit="ms"),
                "failed_checks": Column(title="Failed checks"),
            },
        ),
        table(
            "Failures",
            "The last 200 of the last 24 hours of the chosen time.",
            sql.rows(_FAILURES),
            height=8,
            empty="nothing failed in the last day of this time",
            columns=FAILURE_COLUMNS
            | {
                "response_status_code": Column(title="Answer", width=80),
                "address": Column(title="Address", width=140),
                "response_time_ms": Column(title="After", unit="ms", decimals=1, width=90),
            },
        ),
        table(
            "What the target changed",
            "Certificate, addresses, HTTP version, Server header.",
            sql.rows(_CHANGES),
            height=8,
            empty="nothing changed in this time",
            columns={
                "changed_at": Column(title="Seen", width=170),
                "datacenter": Column(title="Datacenter", width=100),
                "fact": Column(title="What", width=120),
                "old_value": Column(title="Before"),
                "new_value": Column(title="Since then"),
            },
        ),
    ]


PAGE = Page(
    uid="uptimeo-monitor",
    title="UptimeO: one monitor",
    about="One monitor with its phases, from PostgreSQL.",
    source=POSTGRESQL,
    since="now-24h",
    variables=[_MONITOR, sql.DATACENTER],
    annotations=[
        _marks("Outages", RED, _OUTAGE_MARKS),
        _marks("Changes of the target", BLUE, _CHANGE_MARKS),
    ],
    rows=[("Now", _now()), ("Over time", _over_time()), ("Reasons", _reasons())],
)
