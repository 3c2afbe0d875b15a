"""One monitor with its phases, as the leaders saw it seconds ago."""

from tests.dashboards.panels import (
    GREEN,
    ORANGE,
    PHASES,
    PROMETHEUS,
    RED,
    Column,
    Page,
    Panel,
    lines,
    table,
    timeline,
)
from tests.dashboards.promql import (
    DATACENTER,
    MONITOR,
    ONE,
    Figure,
    figures,
    now,
    over,
    without,
)

# Numbers are places in TIMELINE: 0 where none of these is 1.
_STATUS = " + ".join(
    f'{place} * max by (datacenter) (uptimeo_monitor_status{{status="{name}",{ONE}}})'
    for place, name in enumerate(("degraded", "critical", "down", "unknown"), 1)
)
_PHASES = f"avg by (phase) (uptimeo_monitor_phase_seconds{{{ONE}}})"
_SUCCESS = f"avg by (datacenter) (avg_over_time(probe_success{{{ONE}}}[5m]))"
_DAYS_LEFT = f"(min(probe_ssl_earliest_cert_expiry{{{ONE}}}) - time()) / 86400"
_AGE = f"time() - max(uptimeo_monitor_last_check_timestamp_seconds{{{ONE}}})"
_ANSWER = {
    "probe_http_status_code": Column(title="Status"),
    "probe_http_version": Column(title="Version"),
    "probe_http_uncompressed_body_length": Column(title="Body", unit="bytes"),
    "probe_http_redirects": Column(title="Redirects"),
}


def _by_place(name: str) -> str:
    return f"max by (datacenter) ({name}{{{ONE}}})"


def _over_time() -> list[Panel]:
    return [
        timeline(
            "Status",
            "Of the last check, in each datacenter. A gap: nobody led, or nobody was scraped.",
            over(_STATUS, "{{datacenter}}"),
        ),
        lines(
            "Where the time goes",
            "Each phase of the last check, the mean over the datacenters.",
            over(_PHASES, "{{phase}}"),
            unit="s",
            stacked=True,
            colours=PHASES,
        ),
        lines(
            "How long the check took",
            "The last one, from each datacenter.",
            over(_by_place("probe_duration_seconds"), "{{datacenter}}"),
            unit="s",
        ),
        lines(
            "Success",
            "Of the last five minutes, the share in which the last check was a success.",
            over(_SUCCESS, "{{datacenter}}"),
            unit="percentunit",
            high=1,
        ),
        lines(
            "Lookup of the name",
            "How long the resolver took, in the last check.",
            over(_by_place("probe_dns_lookup_time_seconds"), "{{datacenter}}"),
            unit="s",
        ),
    ]


def _last() -> list[Panel]:
    return [
        table(
            "Last answer",
            "Of HTTP checks.",
            *[now(_by_place(name)) for name in _ANSWER],
            width=14,
            height=7,
            empty="no HTTP check",
            transformations=[{"id": "merge", "options": {}}, *without("Time")],
            columns={"datacenter": Column(title="Datacenter")}
            | {f"Value #{chr(ord('A') + n)}": each for n, each in enumerate(_ANSWER.values())},
        ),
        figures(
            "Certificate and age",
            "Until when the certificate is valid, and how long ago it was checked last.",
            Figure(
                text=_DAYS_LEFT,
                shown=Column(
                    title="Certificate, days left",
                    decimals=0,
                    steps=((None, RED), (7, ORANGE), (21, GREEN)),
                ),
            ),
            Figure(text=_AGE, shown=Column(title="Since the last check", unit="s", decimals=0)),
            width=10,
        ),
    ]


PAGE = Page(
    uid="uptimeo-prometheus-monitor",
    title="UptimeO: one monitor (Prometheus)",
    about="One monitor with its phases, as the leaders saw it last.",
    source=PROMETHEUS,
    since="now-6h",
    refresh="30s",
    variables=[MONITOR, DATACENTER],
    rows=[("Over time", _over_time()), ("Last answer", _last())],
)
