"""Which monitors does the demo install, and on which schedules? Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoTarget:
    """Where the demo target listens on 127.0.0.1, and the CA that signed its certificate.

    `closed_port` is held by the target and refuses every connection.
    """

    http_port: int
    https_port: int
    closed_port: int
    ca_pem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSchedule:
    """A row of `schedules`."""

    name: str
    interval_s: int
    warning_ms: int
    critical_ms: int
    include_response_body: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoMonitor:
    """A row of `api_monitors`; `schedule` is the name of a `DemoSchedule`."""

    name: str
    type: str
    url: str
    schedule: str
    method: str = "GET"
    headers: Mapping[str, str] | None = None
    body: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    timeout_ms: int | None = None


_OFTEN = DemoSchedule(
    name="demo every 5 s",
    interval_s=5,
    warning_ms=300,
    critical_ms=1000,
    include_response_body=True,
)
_SELDOM = DemoSchedule(
    name="demo every 10 s",
    interval_s=10,
    warning_ms=300,
    critical_ms=1000,
    include_response_body=False,
)
DEMO_SCHEDULES = (_OFTEN, _SELDOM)


def demo_monitors(target: DemoTarget) -> tuple[DemoMonitor, ...]:
    """One monitor for each way in which a target can answer, or fail to."""
    plain = f"http://127.0.0.1:{target.http_port}"
    return (*_lively(plain), *_failing(plain), *_over_tls(target), *_unreachable(target))


def plain_monitors(url: str) -> tuple[DemoMonitor, ...]:
    """Those of a target on another host, which has no TLS: `url` is http://host:port."""
    plain = url.rstrip("/")
    return (*_lively(plain), *_failing(plain), _UNKNOWN_NAME)


def _lively(plain: str) -> tuple[DemoMonitor, ...]:
    """Those that are up at least now and then."""
    return (
        _http("fast", f"{plain}/fast", _OFTEN),
        _http("slow first byte", f"{plain}/slow-first-byte", _OFTEN),
        _http("slow body", f"{plain}/slow-body", _OFTEN),
        _http("flaky", f"{plain}/flaky", _OFTEN),
        _http("two redirects", f"{plain}/redirect", _OFTEN),
        DemoMonitor(
            name="demo: POST with a JSON body",
            type="HTTP",
            method="POST",
            url=f"{plain}/echo",
            headers={"X-Demo": "hello", "Authorization": "Bearer demo-token"},
            body={"greeting": "hello", "numbers": [1, 2, 3]},
            schedule=_OFTEN.name,
        ),
        _http("not JSON", f"{plain}/not-json", _SELDOM),
        _http("large body", f"{plain}/large", _SELDOM),
    )


def _failing(plain: str) -> tuple[DemoMonitor, ...]:
    """Those whose target can be reached and is down all the same."""
    return (
        _http("always failing", f"{plain}/failing", _SELDOM),
        _http("too large body", f"{plain}/too-large", _SELDOM),
        _http("closes without an answer", f"{plain}/no-answer", _SELDOM),
        DemoMonitor(
            name="demo: never answers",
            type="HTTP",
            url=f"{plain}/stalled",
            schedule=_SELDOM.name,
            timeout_ms=2000,
        ),
    )


def _over_tls(target: DemoTarget) -> tuple[DemoMonitor, ...]:
    """One that trusts the target's authority, and one that does not."""
    return (
        DemoMonitor(
            name="demo: TLS with a private CA",
            type="HTTPS",
            url=f"https://localhost:{target.https_port}/fast",
            options={"ca_pem": target.ca_pem},
            schedule=_OFTEN.name,
        ),
        DemoMonitor(
            name="demo: untrusted certificate",
            type="HTTPS",
            url=f"https://localhost:{target.https_port}/fast",
            schedule=_SELDOM.name,
        ),
    )


def _unreachable(target: DemoTarget) -> tuple[DemoMonitor, ...]:
    """Those where no request can be sent."""
    return (
        _http("refused port", f"http://127.0.0.1:{target.closed_port}/", _SELDOM),
        _UNKNOWN_NAME,
    )


def _http(name: str, url: str, schedule: DemoSchedule) -> DemoMonitor:
    return DemoMonitor(name=f"demo: {name}", type="HTTP", url=url, schedule=schedule.name)


_UNKNOWN_NAME = _http("unknown name", "http://nothing.invalid/", _SELDOM)
