"""Which pieces do the pages over Prometheus share?"""

from dataclasses import dataclass

from tests.dashboards.panels import GREEN, RED, Column, Json, Panel, Query, Variable, stats

PLACE = 'datacenter=~"$datacenter"'
ONE = f'{PLACE},monitor=~"$monitor"'
AGENT = "{{datacenter}} {{agent}}"
BAD = ((None, GREEN), (1, RED))
MONITOR_PAGE = (
    "/d/uptimeo-prometheus-monitor/?var-monitor=${__data.fields.monitor:percentencode}"
    "&${datacenter:queryparam}&${__url_time_range}"
)
LEADERLESS = f"count(sum by (datacenter) (uptimeo_leader{{{PLACE}}}) == 0)"

DATACENTER = Variable(
    name="datacenter",
    label="Datacenter",
    about="From where it was checked",
    query="label_values(uptimeo_leader, datacenter)",
    several=True,
)
MONITOR = Variable(
    name="monitor",
    label="Monitor",
    about="The one that is shown, by name",
    query="label_values(uptimeo_monitor_status, monitor)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A query that answers with one number, and how it is shown; a `count` of nothing is 0."""

    text: str
    shown: Column
    count: bool = False


def now(text: str) -> Query:
    """A query of this moment."""
    return Query(text=text)


def over(text: str, legend: str) -> Query:
    """A query over time; `legend` names the series by their labels."""
    return Query(text=text, series=True, legend=legend)


def per_agent(name: str) -> Query:
    """A gauge of each agent over time."""
    return over(f"max by (datacenter, agent) ({name}{{{PLACE}}})", AGENT)


def quantile(share: float, name: str, by: str) -> str:
    """A quantile of a histogram, by some labels."""
    rate = f"rate({name}_bucket{{{PLACE}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by (le, {by}) ({rate}))"


def without(*fields: str) -> list[Json]:
    """The transformation that leaves fields out."""
    return [{"id": "organize", "options": {"excludeByName": dict.fromkeys(fields, True)}}]


def figures(title: str, about: str, *shown: Figure, width: int = 24) -> Panel:
    """Large figures, each of a query of its own."""
    return stats(
        title,
        about,
        *[now(f"{each.text} or vector(0)" if each.count else each.text) for each in shown],
        columns={f"Value #{chr(ord('A') + n)}": each.shown for n, each in enumerate(shown)},
        width=width,
    )
