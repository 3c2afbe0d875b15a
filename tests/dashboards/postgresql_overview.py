"""The first page: what is wrong, where, and how it has been."""

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
    matrix,
    stats,
    table,
)

_BAD = ((None, GREEN), (1, RED))
_UPTIME = ((None, RED), (0.99, YELLOW), (0.999, GREEN))
_RANKS = "'{disabled,pending,up,degraded,critical,unknown,invalid,down}'::text[]"

_NOW = f"""
SELECT count(*) FILTER (WHERE down = places) AS down_everywhere,
       count(*) FILTER (WHERE down > 0 AND down < places) AS down_somewhere,
       count(*) FILTER (WHERE down = 0 AND slow > 0) AS slow,
       count(*) FILTER (WHERE down = 0 AND slow = 0 AND unclear > 0) AS unclear,
       count(*) FILTER (WHERE down + slow + unclear = 0) AS up
FROM (
    SELECT monitor_id, count(*) AS places, count(*) FILTER (WHERE state = 'down') AS down,
           count(*) FILTER (WHERE state IN ('degraded', 'critical')) AS slow,
           count(*) FILTER (WHERE overdue OR state IN ('unknown', 'invalid', 'pending')) AS unclear
    FROM monitor_states
    WHERE state <> 'disabled' AND {sql.IN_PLACES}
    GROUP BY monitor_id) each
"""
_WINDOW = f"""
SELECT uptime_share(sum({sql.GOOD})::bigint, sum({sql.GOOD} + down_ms)::bigint) AS uptime,
       uptime_share(sum({sql.GOOD} + down_ms)::bigint,
                    sum({sql.GOOD} + down_ms + without_verdict_ms)::bigint) AS coverage,
       sum(down_ms)::bigint AS down_ms
FROM uptimes({sql.FROM}, {sql.TO}, {sql.PLACES})
"""
_WORST = f"""
SELECT n.monitor_id, n.monitor, n.state, n.down_in, n.places, n.since, l.p95_ms, u.uptime, u.down_ms
FROM (
    SELECT monitor_id, monitor, max(array_position({_RANKS}, state)) AS rank,
           ({_RANKS})[max(array_position({_RANKS}, state))] AS state,
           count(*) FILTER (WHERE state = 'down') || ' of ' || count(*) AS down_in,
           string_agg(datacenter, ', ' ORDER BY datacenter) FILTER (WHERE state = 'down') AS places,
           min(CASE WHEN state NOT IN ('up', 'disabled') THEN since END) AS since
    FROM monitor_states
    WHERE {sql.IN_PLACES}
    GROUP BY monitor_id, monitor) n
LEFT JOIN uptimes({sql.FROM}, {sql.TO}, {sql.PLACES}) u USING (monitor_id)
LEFT JOIN latencies({sql.FROM}, {sql.TO}, 'total', {sql.PLACES}) l USING (monitor_id)
ORDER BY n.rank DESC, u.uptime NULLS LAST, n.monitor
LIMIT 500
"""
_MATRIX = f"""
SELECT monitor, datacenter, state
FROM (
    SELECT monitor || ' (' || monitor_id || ')' AS monitor, datacenter, state,
           max(array_position({_RANKS}, state)) OVER (PARTITION BY monitor_id) AS rank
    FROM monitor_states
    WHERE {sql.IN_PLACES}) each
ORDER BY rank DESC, monitor, datacenter
LIMIT 1000
"""
_PLACES = f"""
SELECT s.datacenter, coalesce(l.leader, 'nobody') AS leader, s.monitors, s.up, s.slow, s.down,
       s.unclear, u.uptime
FROM (
    SELECT datacenter_id, datacenter, count(*) AS monitors,
           count(*) FILTER (WHERE state = 'up') AS up,
           count(*) FILTER (WHERE state IN ('degraded', 'critical')) AS slow,
           count(*) FILTER (WHERE state = 'down') AS down,
           count(*) FILTER (WHERE overdue OR state IN ('unknown', 'invalid', 'pending')) AS unclear
    FROM monitor_states
    WHERE state <> 'disabled' AND {sql.IN_PLACES}
    GROUP BY datacenter_id, datacenter) s
LEFT JOIN leadership l ON l.datacenter_id = s.datacenter_id AND l.leads_now
LEFT JOIN LATERAL (
    SELECT uptime_share(sum({sql.GOOD})::bigint, sum({sql.GOOD} + down_ms)::bigint) AS uptime
    FROM uptimes({sql.FROM}, {sql.TO}, ARRAY[s.datacenter_id])) u ON true
ORDER BY s.datacenter
"""
_UPTIME_OVER_TIME = sql.history(
    f"uptime_share(sum({sql.GOOD}::bigint)::bigint, sum({sql.GOOD}::bigint + down_ms)::bigint)"
    "::float8 AS uptime"
)
_LATENCY_OVER_TIME = sql.history("sum(mean_ms * up) / nullif(sum(up), 0) AS mean")
_FAILURES = f"""
SELECT slot, monitor_id, monitor, datacenter, status, failed_phase, error_type, error_message,
       attempts
FROM failures
WHERE slot BETWEEN {sql.LAST_DAY} AND {sql.TO} AND {sql.IN_PLACES}
ORDER BY slot DESC
LIMIT 200
"""
_SLOWEST = f"""
SELECT m.monitor_id, m.monitor, l.p50_ms, l.p95_ms, l.p99_ms, s.phase, s.share
FROM (
    SELECT * FROM latencies({sql.FROM}, {sql.TO}, 'total', {sql.PLACES})
    ORDER BY p95_ms DESC LIMIT 15) l
JOIN monitors m USING (monitor_id)
CROSS JOIN LATERAL (
    SELECT phase, share FROM latency_phases(l.monitor_id, {sql.FROM}, {sql.TO}, {sql.PLACES})
    WHERE phase NOT IN ('total', 'ttfb') ORDER BY share DESC LIMIT 1) s
ORDER BY l.p95_ms DESC
"""
_CERTIFICATES = """
SELECT monitor_id, monitor, issuer, expires, extract(epoch FROM expires - now()) / 86400 AS days
FROM (
    SELECT DISTINCT ON (monitor_id) monitor_id, monitor, about ->> 'issuer' AS issuer,
           (about ->> 'leaf_expires')::timestamptz AS expires
    FROM monitor_facts
    JOIN monitors USING (monitor_id)
    WHERE fact = 'certificate' AND enabled
    ORDER BY monitor_id, first_seen DESC) newest
ORDER BY expires
LIMIT 15
"""

MONITOR_COLUMNS = {
    "monitor_id": Column(title="Id", width=70),
    "monitor": Column(title="Monitor", link=sql.MONITOR_PAGE, width=200),
}
FAILURE_COLUMNS = {
    "slot": Column(title="Time", width=170),
    "datacenter": Column(title="Datacenter", width=100),
    "status": Column(title="Status", states=True, width=90),
    "failed_phase": Column(title="Phase", width=90),
    "error_type": Column(title="Error", width=170),
    "error_message": Column(title="Reason"),
    "attempts": Column(title="Tries", width=70),
}


def _now() -> list[Panel]:
    return [
        stats(
            "Monitors now",
            "By their latest check in each chosen datacenter. Unclear: our own fault, a row that"
            " cannot be used, no check yet, or the last one is overdue.",
            sql.rows(_NOW),
            width=14,
            columns={
                "down_everywhere": Column(title="Down everywhere", steps=_BAD),
                "down_somewhere": Column(title="Down somewhere", steps=_BAD),
                "slow": Column(title="Degraded or critical", steps=((None, GREEN), (1, ORANGE))),
                "unclear": Column(title="Unclear", steps=((None, GREEN), (1, VIOLET))),
                "up": Column(title="Up", steps=((None, GREY), (1, GREEN))),
            },
        ),
        stats(
            "In the chosen time",
            "Of all monitors together. Uptime leaves out time without a verdict and maintenance;"
            " coverage is the share of the time with a verdict.",
            sql.rows(_WINDOW),
            width=10,
            columns={
                "uptime": Column(title="Uptime", unit="percentunit", decimals=3, steps=_UPTIME),
                "coverage": Column(title="Coverage", unit="percentunit", decimals=3, steps=_UPTIME),
                "down_ms": Column(title="Down, all together", unit="ms"),
            },
        ),
        table(
            "Monitors, worst first",
            "How each is now, and was in the chosen time. Click a name for its page.",
            sql.rows(_WORST),
            height=11,
            empty="no monitors yet: uptimeo monitor add",
            columns=MONITOR_COLUMNS
            | {
                "state": Column(title="State", states=True, width=100),
                "down_in": Column(title="Down in", width=90),
                "places": Column(title="Where"),
                "since": Column(title="Since", width=170),
                "p95_ms": Column(title="95 % within", unit="ms", decimals=0, width=110),
                "uptime": Column(
                    title="Uptime", unit="percentunit", decimals=3, steps=_UPTIME, width=100
                ),
                "down_ms": Column(title="Down for", unit="ms", width=110),
            },
        ),
    ]


def _places() -> list[Panel]:
    return [
        table(
            "Datacenters",
            "Who leads, and what each sees. A datacenter without a leader checks nothing.",
            sql.rows(_PLACES),
            width=12,
            height=10,
            empty="no datacenter has checked anything yet",
            columns={
                "datacenter": Column(title="Datacenter"),
                "leader": Column(title="Leader", words={"nobody": ("nobody", RED)}),
                "monitors": Column(title="Monitors", width=90),
                "up": Column(title="Up", width=60),
                "slow": Column(title="Slow", steps=((None, GREY), (1, ORANGE)), width=60),
                "down": Column(title="Down", steps=((None, GREY), (1, RED)), width=60),
                "unclear": Column(title="Unclear", steps=((None, GREY), (1, VIOLET)), width=80),
                "uptime": Column(
                    title="Uptime", unit="percentunit", decimals=3, steps=_UPTIME, width=100
                ),
            },
        ),
        matrix(
            "Each monitor in each datacenter",
            "Its state now, those that are worst first. An empty cell: it does not run there.",
            sql.rows(_MATRIX),
            row="monitor",
            column="datacenter",
            value="state",
            cell=Column(states=True),
            width=12,
            empty="no monitors yet",
        ),
        lines(
            "Uptime",
            "Of all monitors, by hour; by day for more than a week.",
            sql.series(_UPTIME_OVER_TIME),
            unit="percentunit",
            low=None,
            high=1,
        ),
        lines(
            "Mean response time",
            "Of successful checks of all monitors, by hour; by day for more than a week.",
            sql.series(_LATENCY_OVER_TIME),
            unit="ms",
        ),
    ]


def _lists() -> list[Panel]:
    return [
        table(
            "What failed lately",
            "The last 200 failures of the last 24 hours of the chosen time.",
            sql.rows(_FAILURES),
            height=10,
            empty="nothing failed",
            columns=MONITOR_COLUMNS | FAILURE_COLUMNS,
        ),
        table(
            "Slowest monitors",
            "Of successful checks, and the phase that takes the most of the time.",
            sql.rows(_SLOWEST),
            width=14,
            empty="nothing measured in this time",
            columns=MONITOR_COLUMNS
            | {
                "p50_ms": Column(title="Half within", unit="ms", decimals=0, width=100),
                "p95_ms": Column(title="95 % within", unit="ms", decimals=0, width=100),
                "p99_ms": Column(title="99 % within", unit="ms", decimals=0, width=100),
                "phase": Column(title="Most in", width=90),
                "share": Column(title="Share", unit="percentunit", decimals=0, width=70),
            },
        ),
        table(
            "Certificates that expire first",
            "The newest of each monitor, as seen anywhere.",
            sql.rows(_CERTIFICATES),
            width=10,
            empty="no certificate seen",
            columns=MONITOR_COLUMNS
            | {
                "issuer": Column(title="Issuer"),
                "expires": Column(title="Expires", width=170),
                "days": Column(
                    title="Days left",
                    decimals=0,
                    width=90,
                    steps=((None, RED), (7, ORANGE), (21, GREEN)),
                ),
            },
        ),
    ]


PAGE = Page(
    uid="uptimeo-overview",
    title="UptimeO: overview",
    about="All monitors across the datacenters, from PostgreSQL.",
    source=POSTGRESQL,
    since="now-24h",
    variables=[sql.DATACENTER],
    rows=[("Now", _now()), ("By datacenter", _places()), ("Reasons", _lists())],
)
