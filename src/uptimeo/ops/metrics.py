"""What are the agent's own figures? The importer of prometheus_client."""

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from uptimeo import __version__
from uptimeo.ops.calibrating import SelfCalibration
from uptimeo.ops.counting import Distribution
from uptimeo.ops.facts import AgentFacts
from uptimeo.ops.flushes import CountedSink
from uptimeo.ops.results import Results

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """What is counted, as opposed to what is looked at: since the start of the process."""

    results: Results
    flushes: CountedSink
    calibration: SelfCalibration | None


class OwnMetrics:
    """Writes the agent's own metrics; `fixed` labels stand on all but those of the process."""

    def __init__(self, fixed: Mapping[str, str], accounts: Accounts) -> None:
        self._fixed = dict(fixed)
        self._accounts = accounts
        self._process = ProcessCollector(registry=None)

    def text(self, facts: AgentFacts) -> str:
        """In the text format, with its HELP and TYPE lines."""
        families = [*self._families(facts), *self._process.collect()]
        return generate_latest(_Collected(families)).decode()

    def _families(self, facts: AgentFacts) -> Iterator[Metric]:
        yield from self._standing(facts)
        yield from self._upkeep(facts)
        yield from self._catalog(facts)
        yield from self._checks(facts)
        yield from self._heartbeats(facts)
        yield from self._batches()
        if self._accounts.calibration is not None:
            yield from self._calibration(self._accounts.calibration)

    def _standing(self, facts: AgentFacts) -> Iterator[Metric]:
        build = {"version": __version__, "python": platform.python_version()}
        yield self._gauge("uptimeo_build_info", "1; what is running", 1, build)
        yield self._gauge("uptimeo_leader", "1 if this agent holds the term", int(facts.leads))
        yield self._gauge("uptimeo_term", "The last term that is known of", facts.newest_term)
        yield self._gauge(
            "uptimeo_checks_may_start", "1 if a check may start now", int(facts.may_check)
        )
        yield self._gauge(
            "uptimeo_database_answer_age_seconds",
            "How long ago the database answered last",
            facts.database_ago_s,
        )

    def _upkeep(self, facts: AgentFacts) -> Iterator[Metric]:
        yield self._gauge(
            "uptimeo_partitions_ahead",
            "For how many days after today every table has partitions; of the agent that maintains"
            " them",
            facts.days_ahead,
        )
        yield self._gauge(
            "uptimeo_retention_held",
            "1 while nothing that is too old is dropped, since the database's clock is not"
            " believed; of the agent that maintains the installation",
            facts.retention_held,
        )
        yield self._unusual(facts.unusual)

    def _unusual(self, counts: Mapping[tuple[str, str], int]) -> Metric:
        labels = [*self._fixed, "sender", "kind"]
        family = GaugeMetricFamily(
            "uptimeo_unusual_heartbeats",
            "Heartbeats of today and yesterday that no agent in order makes, by the datacenter that"
            " sent them; of the agent that maintains the installation",
            labels=labels,
        )
        for (sender, kind), count in counts.items():
            family.add_metric([*self._fixed.values(), sender, kind], count)
        return family

    def _catalog(self, facts: AgentFacts) -> Iterator[Metric]:
        catalog, left_out = facts.catalog, self._accounts.results.left_out
        yield self._gauge("uptimeo_monitors", "Monitors in force", catalog.monitors)
        yield self._gauge("uptimeo_monitors_invalid", "Rows that cannot be used", catalog.invalid)
        yield self._gauge(
            "uptimeo_monitors_without_series", "Monitors above the most that are shown", left_out
        )
        yield self._counter(
            "uptimeo_config_changes_total", "Sets of monitors put in force", catalog.changes
        )
        yield self._gauge(
            "uptimeo_config_change_timestamp_seconds",
            "When the present set came into force, in seconds since 1970",
            _unix(catalog.changed_at),
        )
        yield self._gauge(
            "uptimeo_config_read_timestamp_seconds",
            "When the tables were read last, in seconds since 1970",
            _unix(catalog.read_at),
        )

    def _checks(self, facts: AgentFacts) -> Iterator[Metric]:
        results, loop = self._accounts.results, facts.loop
        yield self._gauge(
            "uptimeo_checks_running", "Checks under way or waiting for a place", facts.in_flight
        )
        yield self._histogram(
            "uptimeo_check_start_delay_seconds",
            "How long after its slot each check started; those that ended",
            results.delays,
        )
        yield self._counted(
            "uptimeo_heartbeats_total", "Heartbeats made", "status", results.statuses
        )
        yield self._counted(
            "uptimeo_errors_total",
            "Heartbeats with that error, skipped slots among them",
            "error_type",
            results.errors,
        )
        yield self._counter(
            "uptimeo_results_unreadable_total",
            "Results of a plugin that cannot be shown",
            results.unreadable,
        )
        yield self._gauge(
            "uptimeo_loop_lag_p99_seconds",
            "How late the event loop was 99 times of 100 at most, in the last 1000 samples",
            _s(loop.p99_ms),
        )
        yield self._gauge(
            "uptimeo_loop_lag_max_seconds",
            "How late the event loop was at worst, in the last 1000 samples",
            _s(loop.worst_ms),
        )
        yield self._counter(
            "uptimeo_loop_stalls_total", "Samples that were more than 20 ms late", loop.stalls
        )

    def _heartbeats(self, facts: AgentFacts) -> Iterator[Metric]:
        spool = facts.spool
        yield self._gauge("uptimeo_spool_heartbeats", "Heartbeats that wait", spool.rows)
        yield self._gauge("uptimeo_spool_bytes", "Bytes in use by the spool", spool.bytes)
        oldest_s = spool.oldest_at and max(0.0, (facts.now - spool.oldest_at).total_seconds())
        yield self._gauge(
            "uptimeo_spool_oldest_age_seconds",
            "How long ago the check ran whose heartbeat waits longest, 0 if none waits",
            oldest_s or 0.0,
        )
        yield self._counter(
            "uptimeo_spool_dropped_total", "Heartbeats lost, dropped or thinned out", spool.dropped
        )
        yield self._gauge(
            "uptimeo_spool_sound", "1 if the spool takes heartbeats", int(facts.spool_sound)
        )

    def _batches(self) -> Iterator[Metric]:
        flushes = self._accounts.flushes
        yield self._histogram(
            "uptimeo_flush_duration_seconds", "How long PostgreSQL took a batch", flushes.seconds
        )
        yield self._histogram(
            "uptimeo_flush_heartbeats", "How many heartbeats a stored batch had", flushes.rows
        )
        yield self._counter(
            "uptimeo_flush_failures_total", "Batches that were not stored", flushes.failed
        )
        yield self._counter(
            "uptimeo_heartbeats_inserted_total", "Heartbeats stored", flushes.inserted
        )
        yield self._counter(
            "uptimeo_heartbeats_duplicate_total",
            "Heartbeats that were stored already",
            flushes.duplicates,
        )
        yield self._counted(
            "uptimeo_heartbeats_set_aside_total",
            "Heartbeats set aside: fenced off, without a day, refused",
            "reason",
            flushes.set_asides,
        )

    def _calibration(self, calibration: SelfCalibration) -> Iterator[Metric]:
        errors = SummaryMetricFamily(
            "uptimeo_calibration_error_seconds",
            "By how much a phase was measured wrong, whichever way; quantile 1 is the worst of"
            " the last measurement, sum and count are of all",
        )
        for phase in calibration.phases():
            labels = self._fixed | {"phase": phase.name}
            for quantile, ms in phase.quantiles:
                errors.add_sample(errors.name, labels | {"quantile": quantile}, ms / 1000)
            errors.add_sample(f"{errors.name}_count", labels, phase.count)
            errors.add_sample(f"{errors.name}_sum", labels, phase.total_ms / 1000)
        yield errors
        yield self._gauge(
            "uptimeo_calibration_timestamp_seconds",
            "When the agent's own error was measured last, in seconds since 1970",
            _unix(calibration.measured_at),
        )
        yield self._counter(
            "uptimeo_calibration_failures_total", "Measurements that failed", calibration.failures
        )

    def _gauge(
        self, name: str, text: str, value: float | None, more: Mapping[str, str] | None = None
    ) -> Metric:
        """Without a sample if the value is None."""
        labels = self._fixed | dict(more or {})
        family = GaugeMetricFamily(name, text, labels=list(labels))
        if value is not None:
            family.add_metric(list(labels.values()), value)
        return family

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(name, text, labels=list(self._fixed))
        family.add_metric(list(self._fixed.values()), value)
        return family

    def _counted(self, name: str, text: str, label: str, counts: Mapping[Any, int]) -> Metric:
        family = CounterMetricFamily(name, text, labels=[*self._fixed, label])
        for value, count in counts.items():
            family.add_metric([*self._fixed.values(), str(value)], count)
        return family

    def _histogram(self, name: str, text: str, counted: Distribution) -> Metric:
        family = HistogramMetricFamily(name, text, labels=list(self._fixed))
        buckets = [
            ("+Inf" if bound == float("inf") else str(float(bound)), count)
            for bound, count in counted.cumulative()
        ]
        family.add_metric(list(self._fixed.values()), buckets, counted.total)
        return family


@dataclass(frozen=True, slots=True)
class _Collected:
    """What prometheus_client writes: families that are there already."""

    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


def _unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _s(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000
