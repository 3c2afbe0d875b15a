"""Who leads, what waits, what is lost, and how exactly the agents measure."""

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
    Page,
    Panel,
    lines,
    table,
    timeline,
)
from tests.dashboards.promql import (
    AGENT,
    BAD,
    DATACENTER,
    LEADERLESS,
    PLACE,
    Figure,
    figures,
    now,
    over,
    per_agent,
    quantile,
    without,
)

_LEADS = {"1": ("leads", GREEN), "0": ("stands by", BLUE)}
_RETENTION = {"0": ("drops", GREEN), "1": ("held", ORANGE)}
_ALONE = f"count(count by (datacenter) (uptimeo_leader{{{PLACE}}}) < 2)"
_AGENTS = {
    "uptimeo_leader": Column(title="Leads", words=_LEADS),
    "uptimeo_term": Column(title="Term"),
    "uptimeo_checks_may_start": Column(
        title="May check", words={"1": ("yes", GREEN), "0": ("no", GREY)}
    ),
    "uptimeo_monitors": Column(title="Monitors"),
    "uptimeo_spool_heartbeats": Column(title="Waiting"),
    "uptimeo_loop_lag_p99_seconds": Column(title="Loop late", unit="s"),
    "uptimeo_database_answer_age_seconds": Column(title="Database answered", unit="s"),
}
_LOST = f"sum(rate(uptimeo_spool_dropped_total{{{PLACE}}}[$__rate_interval]))"
_ASIDE = f"sum by (reason) (rate(uptimeo_heartbeats_set_aside_total{{{PLACE}}}[$__rate_interval]))"
_NOT_STORED = f"sum(rate(uptimeo_flush_failures_total{{{PLACE}}}[$__rate_interval]))"
_ERROR = (
    f'max by (datacenter, agent, phase) (uptimeo_calibration_error_seconds{{quantile="1",{PLACE}}})'
)
# Metrics of the process have no names of ours: what is scraped at the same address does.
_OURS = f"on (instance) uptimeo_build_info{{{PLACE}}}"


def _now() -> list[Panel]:
    return [
        figures(
            "Now",
            "Agents that answer a scrape, and what is not as it should be.",
            Figure(
                text=f"count(uptimeo_build_info{{{PLACE}}})",
                shown=Column(title="Agents", steps=((None, RED), (1, GREEN))),
                count=True,
            ),
            Figure(
                text=LEADERLESS,
                shown=Column(title="Datacenters without leader", steps=BAD),
                count=True,
            ),
            Figure(
                text=_ALONE,
                shown=Column(title="... without standby", steps=((None, GREEN), (1, YELLOW))),
                count=True,
            ),
            Figure(
                text=f"sum(uptimeo_spool_heartbeats{{{PLACE}}})",
                shown=Column(title="Heartbeats waiting", steps=((None, GREY), (1000, ORANGE))),
                count=True,
            ),
            Figure(
                text="sum(uptimeo_unusual_heartbeats)",
                shown=Column(
                    title="Unusual heartbeats, two days", steps=((None, GREEN), (1, VIOLET))
                ),
                count=True,
            ),
            Figure(
                text="min(uptimeo_partitions_ahead)",
                shown=Column(title="Days of partitions ahead", steps=((None, RED), (3, GREEN))),
            ),
            Figure(
                text="max(uptimeo_retention_held)",
                shown=Column(title="Retention", words=_RETENTION),
            ),
        ),
        timeline(
            "Who leads",
            "Each agent that is scraped. A gap: it did not answer.",
            per_agent("uptimeo_leader"),
            words=_LEADS,
            height=7,
        ),
        table(
            "Agents",
            "What runs where. Loop late: 99 times of 100 at most.",
            now(f"max by (datacenter, agent, version) (uptimeo_build_info{{{PLACE}}})"),
            *[now(f"max by (datacenter, agent) ({name}{{{PLACE}}})") for name in _AGENTS],
            height=8,
            empty="no agent is scraped",
            transformations=[{"id": "merge", "options": {}}, *without("Time", "Value #A")],
            columns={
                "datacenter": Column(title="Datacenter"),
                "agent": Column(title="Agent"),
                "version": Column(title="Version"),
            }
            | {f"Value #{chr(ord('B') + n)}": each for n, each in enumerate(_AGENTS.values())},
        ),
    ]


def _heartbeats() -> list[Panel]:
    return [
        lines(
            "Heartbeats that wait",
            "On the disk of each agent.",
            per_agent("uptimeo_spool_heartbeats"),
            unit="short",
        ),
        lines(
            "How long the oldest waits",
            "Since its check ran.",
            per_agent("uptimeo_spool_oldest_age_seconds"),
            unit="s",
        ),
        lines(
            "How long PostgreSQL takes a batch",
            "95 of 100 take no longer.",
            over(quantile(0.95, "uptimeo_flush_duration_seconds", "datacenter"), "{{datacenter}}"),
            unit="s",
        ),
        lines(
            "Lost, set aside, not stored",
            "Each second. What is not stored is tried again.",
            over(_LOST, "lost"),
            over(_ASIDE, "set aside: {{reason}}"),
            over(_NOT_STORED, "batches not stored"),
            unit="cps",
        ),
    ]


def _exactness() -> list[Panel]:
    return [
        lines(
            "Checks begin late by",
            "95 of 100 begin no later after their slot.",
            over(
                quantile(0.95, "uptimeo_check_start_delay_seconds", "datacenter, agent"),
                AGENT,
            ),
            unit="s",
        ),
        lines(
            "Event loop late by",
            "99 times of 100 at most.",
            per_agent("uptimeo_loop_lag_p99_seconds"),
            unit="s",
        ),
        lines(
            "Worst error of a phase",
            "Against a target with known delays, in the last measurement of each agent.",
            over(_ERROR, AGENT + " {{phase}}"),
            unit="s",
        ),
        lines(
            "Checks under way",
            "Or waiting for a place.",
            per_agent("uptimeo_checks_running"),
            unit="short",
        ),
        lines(
            "Processor",
            "Seconds of it in each second, by the address that is scraped.",
            over(
                "sum by (instance) (rate(process_cpu_seconds_total[$__rate_interval])"
                f" and {_OURS})",
                "{{instance}}",
            ),
            unit="percentunit",
        ),
        lines(
            "Memory",
            "Resident, by the address that is scraped.",
            over(f"process_resident_memory_bytes and {_OURS}", "{{instance}}"),
            unit="bytes",
        ),
    ]


PAGE = Page(
    uid="uptimeo-prometheus-agents",
    title="UptimeO: agents and leadership (Prometheus)",
    about="Who leads, what waits, what is lost, and how exactly the agents measure.",
    source=PROMETHEUS,
    since="now-6h",
    refresh="30s",
    variables=[DATACENTER],
    rows=[
        ("Leadership", _now()),
        ("Heartbeats to PostgreSQL", _heartbeats()),
        ("Exactness", _exactness()),
    ],
)
