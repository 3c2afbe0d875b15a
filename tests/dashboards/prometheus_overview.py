"""All monitors, as their leaders saw them seconds ago."""

from tests.dashboards.panels import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PROMETHEUS,
    RED,
    STATES,
    VIOLET,
    Column,
    Page,
    Panel,
    lines,
    matrix,
    table,
)
from tests.dashboards.promql import (
    BAD,
    DATACENTER,
    LEADERLESS,
    MONITOR_PAGE,
    PLACE,
    Figure,
    figures,
    now,
    over,
    without,
)

_STATUSES = {name: STATES[name] for name in ("up", "degraded", "critical", "down", "unknown")}
_NAMES = {
    "monitor_id": Column(title="Id", width=70),
    "monitor": Column(title="Monitor", link=MONITOR_PAGE),
}
# 1 for a monitor that is not down anywhere, or is unknown.
_NOT_DOWN = f'max by (monitor_id) (uptimeo_monitor_status{{status!="down",{PLACE}}})'
_MATRIX = f"max by (monitor, datacenter, status) (uptimeo_monitor_status{{{PLACE}}} == 1)"
_NOT_UP = (
    "max by (monitor_id, monitor, datacenter, status)"
    f' (uptimeo_monitor_status{{status!="up",{PLACE}}} == 1)'
)
_SLOWEST = f"topk(10, max by (monitor, datacenter) (probe_duration_seconds{{{PLACE}}}))"
_HEARTBEATS = f"sum by (status) (rate(uptimeo_heartbeats_total{{{PLACE}}}[$__rate_interval]))"
_ERRORS = f"sum by (error_type) (rate(uptimeo_errors_total{{{PLACE}}}[$__rate_interval])) > 0"
_CERTIFICATES = (
    "bottomk(15, min by (monitor_id, monitor)"
    f" (probe_ssl_earliest_cert_expiry{{{PLACE}}} - time()) / 86400)"
)


def _somewhere(statuses: str) -> str:
    seen = f'uptimeo_monitor_status{{status=~"{statuses}",{PLACE}}}'
    return f"count(max by (monitor_id) ({seen}) == 1)"


def _now() -> list[Panel]:
    return [
        figures(
            "Monitors now",
            "By the last check of each leader.",
            Figure(
                text=f"count({_NOT_DOWN} == 0)",
                shown=Column(title="Down everywhere", steps=BAD),
                count=True,
            ),
            Figure(
                text=_somewhere("down"),
                shown=Column(title="Down somewhere", steps=BAD),
                count=True,
            ),
            Figure(
                text=_somewhere("degraded|critical"),
                shown=Column(title="Slow somewhere", steps=((None, GREEN), (1, ORANGE))),
                count=True,
            ),
            Figure(
                text=_somewhere("unknown"),
                shown=Column(title="Unknown somewhere", steps=((None, GREEN), (1, VIOLET))),
                count=True,
            ),
            Figure(
                text=f"count(count by (monitor_id) (uptimeo_monitor_status{{{PLACE}}}))",
                shown=Column(title="Monitors", steps=((None, GREY), (1, BLUE))),
                count=True,
            ),
            Figure(
                text=LEADERLESS,
                shown=Column(title="Datacenters without leader", steps=BAD),
                count=True,
            ),
        ),
        matrix(
            "Each monitor in each datacenter",
            "The status of the last check. An empty cell: it does not run there, or nobody leads"
            " there.",
            now(_MATRIX),
            row="monitor",
            column="datacenter",
            value="status",
            cell=Column(states=True),
            width=12,
            empty="no monitor is scraped",
        ),
        table(
            "Not up",
            "Each monitor in each datacenter that is not. Click a name for its page.",
            now(_NOT_UP),
            width=12,
            height=10,
            empty="all are up",
            transformations=without("Time", "Value"),
            columns=_NAMES
            | {
                "datacenter": Column(title="Datacenter", width=110),
                "status": Column(title="Status", states=True, width=110),
            },
        ),
    ]


def _over_time() -> list[Panel]:
    return [
        lines(
            "Checks by status",
            "Each monitor counts once in each datacenter.",
            over(f"sum by (status) (uptimeo_monitor_status{{{PLACE}}})", "{{status}}"),
            unit="short",
            stacked=True,
            colours=_STATUSES,
        ),
        lines(
            "Slowest now",
            "The ten whose checks take longest.",
            over(_SLOWEST, "{{monitor}} from {{datacenter}}"),
            unit="s",
        ),
        lines(
            "Heartbeats",
            "Made each second, by status.",
            over(_HEARTBEATS, "{{status}}"),
            unit="cps",
            stacked=True,
            colours=_STATUSES,
        ),
        lines(
            "Errors",
            "Each second, by class; skipped slots are among them.",
            over(_ERRORS, "{{error_type}}"),
            unit="cps",
            empty="no errors",
        ),
        table(
            "Certificates that expire first",
            "As seen last, of the chain up to its authority.",
            now(_CERTIFICATES),
            empty="no certificate seen",
            transformations=without("Time"),
            columns=_NAMES
            | {
                "Value": Column(
                    title="Days left", decimals=0, steps=((None, RED), (7, ORANGE), (21, GREEN))
                ),
            },
        ),
    ]


PAGE = Page(
    uid="uptimeo-prometheus-overview",
    title="UptimeO: overview (Prometheus)",
    about="All monitors across the datacenters, as their leaders saw them last.",
    source=PROMETHEUS,
    since="now-6h",
    refresh="30s",
    variables=[DATACENTER],
    rows=[("Now", _now()), ("Over time", _over_time())],
)
