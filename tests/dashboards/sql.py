"""Which pieces do the queries of several pages share?"""

from tests.dashboards.panels import Query, Variable

# A choice of datacenters is a list of texts, empty before there is any.
IN_PLACES = "datacenter_id::text IN (${datacenter:sqlstring})"
PLACES = "ARRAY(SELECT id FROM datacenters WHERE id::text IN (${datacenter:sqlstring}))"
FROM = "$__timeFrom()::timestamptz"
TO = "$__timeTo()::timestamptz"
# Of raw heartbeats, never more than a day.
LAST_DAY = f"greatest({FROM}, {TO} - interval '24 hours')"
MONITOR = "${monitor:sqlstring}::int"
STEP = "$__interval_ms * interval '1 ms'"
# As many stretches as fit on a screen, on a grid, so that rollups of hours and days serve.
BUCKETS = f"""generate_series(
    date_bin({STEP}, {FROM}, '2000-01-01 00:00+00'), {TO}, {STEP}) bucket"""
GOOD = "up_ms + degraded_ms + critical_ms"
MONITOR_PAGE = (
    "/d/uptimeo-monitor/?var-monitor=${__data.fields.monitor_id}"
    "&${datacenter:queryparam}&${__url_time_range}"
)

DATACENTER = Variable(
    name="datacenter",
    label="Datacenter",
    about="From where it was checked",
    query="SELECT code AS __text, id::text AS __value FROM datacenters ORDER BY code",
    several=True,
)


def rows(text: str) -> Query:
    """A query that answers with a table."""
    return Query(text=text.strip() + "\n")


def series(text: str) -> Query:
    """One that answers with `time`, perhaps `metric`, and numbers."""
    return Query(text=text.strip() + "\n", series=True)


def history(share: str) -> str:
    """A figure over time, of hours, or of days where the window is longer than a week."""
    return f"""
SELECT hour AS time, datacenter AS metric, {share}
FROM monitor_hours
WHERE $__timeFilter(hour) AND {TO} - {FROM} <= interval '7 days' AND {IN_PLACES}
GROUP BY hour, datacenter
UNION ALL
SELECT day, datacenter, {share}
FROM monitor_days
WHERE $__timeFilter(day) AND {TO} - {FROM} > interval '7 days' AND {IN_PLACES}
GROUP BY day, datacenter
ORDER BY time
"""
