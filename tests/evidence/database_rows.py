"""Heartbeats as agents send them while all is well: real header values, every phase, no evidence.

Three datacenters check each monitor every 30 s. A target says the same in every answer; only
the times vary.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, repeat

from uptimeo.domain.heartbeat import Heartbeat, Origin, to_wire
from uptimeo.domain.monitor import DatacenterId, Monitor, MonitorId, Thresholds
from uptimeo.domain.result import Exchange, Phases, ProbeResult
from uptimeo.domain.verdict import Status
from uptimeo.storage.database import Connection
from uptimeo.storage.partitions import ensure

DATACENTERS = tuple(DatacenterId(number) for number in (1, 2, 3))
INTERVAL_S = 30
_HOLDER = "00000000-0000-4000-8000-00000000000{}"
_JSON, _JSON_UTF8 = "application/json", "application/json; charset=utf-8"
_HTML, _TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"
# What ten targets answer: content type, server, cache status, HTTP version.
_ANSWERS: Sequence[tuple[str, str | None, str | None, str]] = (
    (_JSON, "nginx", None, "1.1"),
    (_JSON, "nginx/1.26.2", None, "2"),
    (_JSON_UTF8, "envoy", None, "2"),
    (_JSON_UTF8, "cloudflare", "DYNAMIC", "2"),
    (_JSON_UTF8, "Kestrel", None, "1.1"),
    (_JSON, "istio-envoy", None, "2"),
    (_HTML, "nginx", None, "2"),
    (_HTML, "Apache/2.4.62 (Debian)", None, "1.1"),
    (_HTML, "AmazonS3", "Hit from cloudfront", "2"),
    (_TEXT, None, None, "1.1"),
)
_DATACENTER = """
INSERT INTO datacenters (id, code, name) VALUES (%(id)s, 'B' || %(id)s, 'bench')
ON CONFLICT DO NOTHING
"""
_TERM = "INSERT INTO agent_terms VALUES (%s, 1, %s, 'bench', %s)"


@dataclass(frozen=True, slots=True)
class Target:
    """One monitor, and what stays the same in the answers of what it watches."""

    monitor: Monitor
    address: str
    answer: Exchange
    total_ms: float


def yesterday() -> datetime:
    """The first moment of a whole day for which there is a partition, UTC."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=1)


async def begin_terms(connection: Connection, since: datetime) -> None:
    """Let one agent of each datacenter lead from that moment on, and make the days."""
    await ensure(connection, "heartbeats")
    for datacenter in DATACENTERS:
        await connection.execute(_DATACENTER, {"id": datacenter})
        await connection.execute(_TERM, (datacenter, _holder(datacenter), since))


def targets(monitors: int, seed: int = 1) -> list[Target]:
    """That many monitors, the same ones for the same seed."""
    chance = random.Random(seed)
    return [_target(number, chance) for number in range(1, monitors + 1)]


def batches(
    watched: Sequence[Target], datacenter: DatacenterId, seconds: float, size: int
) -> Iterator[Sequence[str]]:
    """The bodies that the leader of a datacenter sends in that time, in order of their slots."""
    chance = random.Random(datacenter)
    phases = [(chance.randrange(INTERVAL_S * 1000), target) for target in watched]
    phases.sort(key=lambda pair: pair[0])
    bodies = (
        _body(target, datacenter, began + timedelta(milliseconds=phase), chance)
        for began in _rounds(seconds)
        for phase, target in phases
    )
    while batch := list(islice(bodies, size)):
        yield batch


def interleaved(
    watched: Sequence[Target], seconds: float, size: int
) -> Iterator[tuple[DatacenterId, Sequence[str]]]:
    """The batches of all datacenters, as their leaders send them beside each other."""
    each = (
        zip(repeat(datacenter), batches(watched, datacenter, seconds, size), strict=False)
        for datacenter in DATACENTERS
    )
    return chain.from_iterable(zip(*each, strict=True))


def _rounds(seconds: float) -> Iterator[datetime]:
    began = yesterday()
    for number in range(int(seconds / INTERVAL_S)):
        yield began + timedelta(seconds=number * INTERVAL_S)


def _target(number: int, chance: random.Random) -> Target:
    content_type, server, cache, version = _ANSWERS[number % len(_ANSWERS)]
    named = {"content-type": content_type, "server": server, "x-cache": cache}
    exchange = Exchange(
        response_headers=tuple((key, value) for key, value in named.items() if value),
        status_code=200,
        http_version=version,
        size_bytes=chance.randrange(20, 20_000),
    )
    monitor = Monitor(
        id=MonitorId(number),
        name=f"service {number}",
        type="http",
        target=f"https://service-{number}.example/health",
        interval_s=INTERVAL_S,
        timeout_ms=10_000,
        thresholds=Thresholds(warning_ms=1000, critical_ms=3000),
        keep_body=False,
        options=None,
    )
    # One in five is reached over IPv6.
    address = f"203.0.{number // 250}.{number % 250}" if number % 5 else f"2001:db8::{number:x}:80"
    return Target(monitor, address, exchange, chance.uniform(20, 300))


def _body(target: Target, datacenter: DatacenterId, slot: datetime, chance: random.Random) -> str:
    total = target.total_ms * chance.uniform(0.8, 1.6)
    late_ms = chance.expovariate(1 / 1.5)
    return to_wire(
        Heartbeat(
            monitor=target.monitor,
            origin=Origin(
                datacenter_id=datacenter,
                agent_id=2 * datacenter,
                term=1,
                holder=_holder(datacenter),
            ),
            scheduled_at=slot,
            executed_at=slot + timedelta(milliseconds=late_ms),
            attempts=1,
            status=Status.UP,
            result=_result(target, total),
            evidence=None,
        )
    )


def _result(target: Target, total: float) -> ProbeResult:
    # What comes after the first byte is the transfer, as libcurl measures it.
    shares = {
        "dns": 0.05,
        "connect": 0.15,
        "tls": 0.3,
        "send": 0.001,
        "wait": 0.45,
        "transfer": 0.049,
    }
    return ProbeResult(
        total_ms=total,
        phases=Phases.of({phase: total * share for phase, share in shares.items()}),
        ttfb_ms=total * 0.951,
        resolved_ip=target.address,
        exchange=target.answer,
    )


def _holder(datacenter: DatacenterId) -> str:
    return _HOLDER.format(datacenter)
