"""The pages over Prometheus: seconds old, for whoever scrapes the agents."""

from tests.dashboards.panels import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PROMETHEUS,
    RED,
    VIOLET,
    YELLOW,
    Column,
    Json,
    Page,
    Panel,
    Query,
    Variable,
    lines,
    matrix,
    stats,
    table,
    timeline,
)

_PLACE = 'datacenter=~"$datacenter"'
_ONE = f'{_PLACE},monitor=~"$monitor"'
_BAD = ((None, GREEN), (1, RED))
_PAGE = "/d/uptimeo-prometheus-monitor/?var-monitor=${__data.fields.monitor}&${__url_time_range}"
_TIME = {"Time": True, "Value": True}

_DATACENTER = Variable(
    name="datacenter",
    label="Datacenter",
    about="From where it was checked",
    query="label_values(uptimeo_leader, datacenter)",
    several=True,
)
_MONITOR = Variable(
    name="monitor",
    label="Monitor",
    about="The one that is shown, by name",
    query="label_values(uptimeo_monitor_status, monitor)",
)


def _now(text: str) -> Query:
    return Query(text=text)


def _over(text: str, legend: str) -> Query:
    return Query(text=text, series=True, legend=legend)


def _quantile(quantile: float, name: str, by: str) -> str:
    rate = f"rate({name}_bucket{{{_PLACE}}}[$__rate_interval])"
    return f"histogram_quantile({quantile}, sum by (le, {by}) ({rate}))"


def _without(*fields: str) -> list[Json]:
    return [{"id": "organize", "options": {"excludeByName": dict.fromkeys(fields, True)}}]


def _figures(
    title: str, about: str, figures: dict[str, tuple[str, Column]], width: int = 24
) -> Panel:
    """Large figures, each of a query of its own, named by its letter."""
    columns = {f"Value #{chr(ord('A') + n)}": each[1] for n, each in enumerate(figures.values())}
    return stats(
        title,
        about,
        *[_now(text) for text, _ in figures.values()],
        columns=columns,
        width=width,
    )


_STATUS = " + ignoring(status) ".join(
    f'{weight} * max by (datacenter, status) (uptimeo_monitor_status{{status="{name}",{_ONE}}})'
    for weight, name in enumerate(("degraded", "critical", "down", "unknown"), 1)
)

OVERVIEW = Page(
    uid="uptimeo-prometheus-overview",
    title="UptimeO: overview (Prometheus)",
    about="All monitors across the datacenters, as their leaders saw them last.",
    source=PROMETHEUS,
    since="now-6h",
    refresh="30s",
    variables=[_DATACENTER],
    rows=[
        (
            "Now",
            [
                _figures(
                    "Monitors now",
                    "By the last check of each leader.",
                    {
                        "everywhere": (
                            "count(max by (monitor_id)"
                            f' (uptimeo_monitor_status{{status!="down",{_PLACE}}}) == 0)'
                            " or vector(0)",
                            Column(title="Down everywhere", steps=_BAD),
                        ),
                        "somewhere": (
                            "count(max by (monitor_id)"
                            f' (uptimeo_monitor_status{{status="down",{_PLACE}}}) == 1)'
                            " or vector(0)",
                            Column(title="Down somewhere", steps=_BAD),
                        ),
                        "slow": (
                            "count(max by (monitor_id) (uptimeo_monitor_status"
                            f'{{status=~"degraded|critical",{_PLACE}}}) == 1) or vector(0)',
                            Column(title="Slow", steps=((None, GREEN), (1, ORANGE))),
                        ),
                        "unknown": (
                            "count(max by (monitor_id)"
                            f' (uptimeo_monitor_status{{status="unknown",{_PLACE}}}) == 1)'
                            " or vector(0)",
                            Column(title="Unknown", steps=((None, GREEN), (1, VIOLET))),
                        ),
                        "monitors": (
                            f"count(count by (monitor_id) (uptimeo_monitor_status{{{_PLACE}}}))"
                            " or vector(0)",
                            Column(title="Monitors", steps=((None, GREY), (1, BLUE))),
                        ),
                        "leaderless": (
                            f"count(sum by (datacenter) (uptimeo_leader{{{_PLACE}}}) == 0)"
                            " or vector(0)",
                            Column(title="Datacenters without leader", steps=_BAD),
                        ),
                    },
                ),
                matrix(
                    "Each monitor in each datacenter",
                    "The status of the last check. An empty cell: it does not run there, or nobody"
                    " leads there.",
                    _now(
                        "max by (monitor, datacenter, status)"
                        f" (uptimeo_monitor_status{{{_PLACE}}} == 1)"
                    ),
                    row="monitor",
                    column="datacenter",
                    value="status",
                    cell=Column(states=True),
                    width=12,
                ),
                table(
                    "Down or slow",
                    "Click a name for its page.",
                    _now(
                        "max by (monitor_id, monitor, datacenter, status) (uptimeo_monitor_status"
                        f'{{status!="up",{_PLACE}}} == 1)'
                    ),
                    width=12,
                    height=10,
                    empty="all are up",
                    transformations=_without("Time", "Value"),
                    columns={
                        "monitor_id": Column(title="Id", width=70),
                        "monitor": Column(title="Monitor", link=_PAGE),
                        "datacenter": Column(title="Datacenter", width=110),
                        "status": Column(title="Status", states=True, width=110),
                    },
                ),
            ],
        ),
        (
            "Over time",
            [
                lines(
                    "Monitors by status",
                    "In how many places each status was seen.",
                    _over(f"sum by (status) (uptimeo_monitor_status{{{_PLACE}}})", "{{status}}"),
                    unit="short",
                    stacked=True,
                ),
                lines(
                    "Slowest now",
                    "The ten whose checks take longest.",
                    _over(
                        f"topk(10, max by (monitor, datacenter) (probe_duration_seconds{{{_PLACE}}}))",
                        "{{monitor}} from {{datacenter}}",
                    ),
                    unit="s",
                ),
                lines(
                    "Heartbeats",
                    "Made each second, by status.",
                    _over(
                        "sum by (status)"
                        f" (rate(uptimeo_heartbeats_total{{{_PLACE}}}[$__rate_interval]))",
                        "{{status}}",
                    ),
                    unit="cps",
                    stacked=True,
                ),
                lines(
                    "Errors",
                    "Each second, by class; skipped slots are among them.",
                    _over(
                        "sum by (error_type)"
                        f" (rate(uptimeo_errors_total{{{_PLACE}}}[$__rate_interval])) > 0",
                        "{{error_type}}",
                    ),
                    unit="cps",
                    empty="no errors",
                ),
                table(
                    "Certificates that expire first",
                    "As seen last, of the chain up to its authority.",
                    _now(
                        "bottomk(15, min by (monitor_id, monitor)"
                        f" (probe_ssl_earliest_cert_expiry{{{_PLACE}}} - time()) / 86400)"
                    ),
                    empty="no certificate seen",
                    transformations=_without("Time"),
                    columns={
                        "monitor_id": Column(title="Id", width=70),
                        "monitor": Column(title="Monitor", link=_PAGE),
                        "Value": Column(
                            title="Days left",
                            decimals=0,
                            steps=((None, RED), (7, ORANGE), (21, GREEN)),
                        ),
                    },
                ),
            ],
        ),
    ],
)

MONITOR = Page(
    uid="uptimeo-prometheus-monitor",
    title="UptimeO: one monitor (Prometheus)",
    about="One monitor with its phases, as the leaders saw it last.",
    source=PROMETHEUS,
    since="now-6h",
    refresh="30s",
    variables=[_MONITOR, _DATACENTER],
    rows=[
        (
            "Over time",
            [
                timeline(
                    "Status",
                    "Of the last check, in each datacenter.",
                    _over(_STATUS, "{{datacenter}}"),
                ),
                lines(
                    "Where the time goes",
                    "Each phase of the last check, the mean over the datacenters.",
                    _over(f"avg by (phase) (uptimeo_monitor_phase_seconds{{{_ONE}}})", "{{phase}}"),
                    unit="s",
                    stacked=True,
                ),
                lines(
                    "How long the check took",
                    "The last one, from each datacenter.",
                    _over(
                        f"max by (datacenter) (probe_duration_seconds{{{_ONE}}})", "{{datacenter}}"
                    ),
                    unit="s",
                ),
                lines(
                    "Success",
                    "The share of the last five minutes in which the last check was a success. A"
                    " gap: unknown.",
                    _over(
                        f"avg by (datacenter) (avg_over_time(probe_success{{{_ONE}}}[5m]))",
                        "{{datacenter}}",
                    ),
                    unit="percentunit",
                    high=1,
                ),
                lines(
                    "Lookup of the name",
                    "As long as the resolver took, in the last check.",
                    _over(
                        f"max by (datacenter) (probe_dns_lookup_time_seconds{{{_ONE}}})",
                        "{{datacenter}}",
                    ),
                    unit="s",
                ),
            ],
        ),
        (
            "Last answer",
            [
                table(
                    "Last answer",
                    "Of HTTP checks: status, version, size of the body, redirects.",
                    *[
                        _now(f"max by (datacenter) ({name}{{{_ONE}}})")
                        for name in (
                            "probe_http_status_code",
                            "probe_http_version",
                            "probe_http_uncompressed_body_length",
                            "probe_http_redirects",
                        )
                    ],
                    width=14,
                    height=7,
                    empty="no HTTP check",
                    transformations=[{"id": "merge", "options": {}}, *_without("Time")],
                    columns={
                        "datacenter": Column(title="Datacenter"),
                        "Value #A": Column(title="Status"),
                        "Value #B": Column(title="Version"),
                        "Value #C": Column(title="Body", unit="bytes"),
                        "Value #D": Column(title="Redirects"),
                    },
                ),
                _figures(
                    "Certificate and age",
                    "Until when the certificate is valid, and how long ago it was checked last.",
                    {
                        "expiry": (
                            f"(min(probe_ssl_earliest_cert_expiry{{{_ONE}}}) - time()) / 86400",
                            Column(
                                title="Certificate, days left",
                                decimals=0,
                                steps=((None, RED), (7, ORANGE), (21, GREEN)),
                                empty="none",
                            ),
                        ),
                        "age": (
                            f"time() - max(uptimeo_monitor_last_check_timestamp_seconds{{{_ONE}}})",
                            Column(title="Last check", unit="s", decimals=0),
                        ),
                    },
                    width=10,
                ),
            ],
        ),
    ],
)

AGENTS = Page(
    uid="uptimeo-prometheus-agents",
    title="UptimeO: agents and leadership (Prometheus)",
    about="Who leads, what waits, what is lost, and how exactly the agents measure.",
    source=PROMETHEUS,
    since="now-6h",
    refresh="30s",
    variables=[_DATACENTER],
    rows=[
        (
            "Leadership",
            [
                _figures(
                    "Now",
                    "Agents that answer a scrape, and what is not as it should be.",
                    {
                        "agents": (
                            f"count(uptimeo_build_info{{{_PLACE}}}) or vector(0)",
                            Column(title="Agents", steps=((None, RED), (1, GREEN))),
                        ),
                        "leaderless": (
                            f"count(sum by (datacenter) (uptimeo_leader{{{_PLACE}}}) == 0)"
                            " or vector(0)",
                            Column(title="Datacenters without leader", steps=_BAD),
                        ),
                        "alone": (
                            f"count(count by (datacenter) (uptimeo_leader{{{_PLACE}}}) < 2)"
                            " or vector(0)",
                            Column(title="... without standby", steps=((None, GREEN), (1, YELLOW))),
                        ),
                        "waiting": (
                            f"sum(uptimeo_spool_heartbeats{{{_PLACE}}}) or vector(0)",
                            Column(
                                title="Heartbeats waiting", steps=((None, GREY), (1000, ORANGE))
                            ),
                        ),
                        "unusual": (
                            "sum(uptimeo_unusual_heartbeats) or vector(0)",
                            Column(title="Unusual, two days", steps=((None, GREEN), (1, VIOLET))),
                        ),
                        "ahead": (
                            "min(uptimeo_partitions_ahead)",
                            Column(
                                title="Partitions ahead", unit="d", steps=((None, RED), (3, GREEN))
                            ),
                        ),
                    },
                ),
                timeline(
                    "Who leads",
                    "Each agent that is scraped. A gap: it did not answer.",
                    _over(
                        f"max by (datacenter, agent) (uptimeo_leader{{{_PLACE}}})",
                        "{{datacenter}} {{agent}}",
                    ),
                    words={"1": ("leads", GREEN), "0": ("stands by", BLUE)},
                    height=7,
                ),
                table(
                    "Agents",
                    "What runs where. Late: its event loop, 99 times of 100 at most.",
                    _now(f"max by (datacenter, agent, version) (uptimeo_build_info{{{_PLACE}}})"),
                    *[
                        _now(f"max by (datacenter, agent) ({name}{{{_PLACE}}})")
                        for name in (
                            "uptimeo_leader",
                            "uptimeo_term",
                            "uptimeo_checks_may_start",
                            "uptimeo_monitors",
                            "uptimeo_spool_heartbeats",
                            "uptimeo_loop_lag_p99_seconds",
                            "uptimeo_database_answer_age_seconds",
                        )
                    ],
                    height=8,
                    empty="no agent is scraped",
                    transformations=[{"id": "merge", "options": {}}, *_without("Time", "Value #A")],
                    columns={
                        "datacenter": Column(title="Datacenter"),
                        "agent": Column(title="Agent"),
                        "version": Column(title="Version"),
                        "Value #B": Column(
                            title="Leads", words={"1": ("leads", GREEN), "0": ("stands by", BLUE)}
                        ),
                        "Value #C": Column(title="Term"),
                        "Value #D": Column(
                            title="May check", words={"1": ("yes", GREEN), "0": ("no", GREY)}
                        ),
                        "Value #E": Column(title="Monitors"),
                        "Value #F": Column(title="Waiting"),
                        "Value #G": Column(title="Loop late", unit="s"),
                        "Value #H": Column(title="Database answered", unit="s"),
                    },
                ),
            ],
        ),
        (
            "Heartbeats to PostgreSQL",
            [
                lines(
                    "Heartbeats that wait",
                    "On the disk of each agent.",
                    _over(
                        f"max by (datacenter, agent) (uptimeo_spool_heartbeats{{{_PLACE}}})",
                        "{{datacenter}} {{agent}}",
                    ),
                    unit="short",
                ),
                lines(
                    "How long the oldest waits",
                    "Since its check ran.",
                    _over(
                        f"max by (datacenter, agent) (uptimeo_spool_oldest_age_seconds{{{_PLACE}}})",
                        "{{datacenter}} {{agent}}",
                    ),
                    unit="s",
                ),
                lines(
                    "How long PostgreSQL takes a batch",
                    "95 of 100 take no longer.",
                    _over(
                        _quantile(0.95, "uptimeo_flush_duration_seconds", "datacenter"),
                        "{{datacenter}}",
                    ),
                    unit="s",
                ),
                lines(
                    "Lost, set aside, not stored",
                    "Each second. Not stored: the batch is tried again.",
                    _over(
                        f"sum(rate(uptimeo_spool_dropped_total{{{_PLACE}}}[$__rate_interval]))",
                        "lost",
                    ),
                    _over(
                        "sum by (reason) (rate(uptimeo_heartbeats_set_aside_total"
                        f"{{{_PLACE}}}[$__rate_interval]))",
                        "set aside: {{reason}}",
                    ),
                    _over(
                        f"sum(rate(uptimeo_flush_failures_total{{{_PLACE}}}[$__rate_interval]))",
                        "batches not stored",
                    ),
                    unit="cps",
                ),
            ],
        ),
        (
            "Exactness",
            [
                lines(
                    "Checks begin late by",
                    "95 of 100 begin no later after their slot.",
                    _over(
                        _quantile(0.95, "uptimeo_check_start_delay_seconds", "datacenter, agent"),
                        "{{datacenter}} {{agent}}",
                    ),
                    unit="s",
                ),
                lines(
                    "Event loop late by",
                    "99 times of 100 at most.",
                    _over(
                        f"max by (datacenter, agent) (uptimeo_loop_lag_p99_seconds{{{_PLACE}}})",
                        "{{datacenter}} {{agent}}",
                    ),
                    unit="s",
                ),
                lines(
                    "Worst error of a phase",
                    "Against a target with known delays, in the last measurement of each agent.",
                    _over(
                        "max by (datacenter, agent, phase) (uptimeo_calibration_error_seconds"
                        f'{{quantile="1",{_PLACE}}})',
                        "{{datacenter}} {{agent}} {{phase}}",
                    ),
                    unit="s",
                ),
                lines(
                    "Processor",
                    "Seconds of it used each second, by scraped address.",
                    _over(
                        "sum by (instance) (rate(process_cpu_seconds_total[$__rate_interval])"
                        " and on (instance) uptimeo_build_info)",
                        "{{instance}}",
                    ),
                    unit="percentunit",
                ),
                lines(
                    "Memory",
                    "Resident, by scraped address.",
                    _over(
                        "process_resident_memory_bytes and on (instance) uptimeo_build_info",
                        "{{instance}}",
                    ),
                    unit="bytes",
                ),
                lines(
                    "Checks under way",
                    "Or waiting for a place.",
                    _over(
                        f"max by (datacenter, agent) (uptimeo_checks_running{{{_PLACE}}})",
                        "{{datacenter}} {{agent}}",
                    ),
                    unit="short",
                ),
            ],
        ),
    ],
)
