"""Which heartbeats does PostgreSQL, or a parser on the way to it, choke on?

`RESULTS` come from a hostile target by way of a check; `BODIES` lie in the spool already, as a
damaged file or an older release may have left them.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.support.builders import failed, heartbeat, monitor, origin, result
from uptimeo.domain.heartbeat import Heartbeat, to_wire
from uptimeo.domain.result import ErrorType, Exchange, Failure, Phases

_TEN_MB = 10_000_000
_LAST_YEAR = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class Maker:
    """Makes heartbeats of the present leader that are due now."""

    def __init__(self, term: int, holder: str) -> None:
        self._origin = origin(term=term, holder=holder, agent_id=None)

    def heartbeat(self, number: int, **changes: Any) -> Heartbeat:
        """A good one of that monitor, unless the changes make it a bad one."""
        now = datetime.now(UTC)
        fields = {"origin": self._origin, "scheduled_at": now, "executed_at": now, "evidence": True}
        named = monitor(number, name=changes.pop("name", f"monitor {number}"))
        return heartbeat(number, **fields | {"monitor": named} | changes)

    def body(self, number: int, **changes: Any) -> str:
        """The wire form of a good one, with other fields; None takes one away."""
        row = json.loads(to_wire(self.heartbeat(number))) | changes
        return json.dumps({key: value for key, value in row.items() if value is not None})


def _exchange(**changes: Any) -> Exchange:
    fields: dict[str, Any] = {
        "status_code": 200,
        "http_version": "1.1",
        "request_headers": (("User-Agent", "UptimeO"),),
        "response_headers": (("Server", "x"),),
        "body_start": b"ok",
        "body_truncated": False,
        "size_bytes": 2,
    }
    return Exchange(**fields | changes)


def _answer(**changes: Any) -> dict[str, Any]:
    return {"result": result(exchange=_exchange(**changes))}


def _headers(*pairs: tuple[str, str]) -> dict[str, Any]:
    return _answer(response_headers=pairs)


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


RESULTS: Mapping[str, dict[str, Any]] = {
    "NUL in a header": _headers(("Server", "a\x00b"), ("X\x00", "\x00")),
    "surrogates in a header": _headers(("Server", "\ud800"), ("X-\udfff", "\ud83d\ud83d")),
    "header of 10 MB": _headers(("Server", "s" * _TEN_MB), ("X-Large", "x" * _TEN_MB)),
    "a hundred thousand headers": _headers(*((f"X-{n}", "x") for n in range(100_000))),
    "NUL in the body": _answer(body_start=b'{"a": "\x00"}'),
    "escaped NUL in the body": _answer(body_start=b'{"a\\u0000": "\\u0000"}'),
    "surrogate in the body": _answer(body_start=b'"\\ud800"'),
    "no UTF-8 in the body": _answer(body_start=bytes(range(256)) * 10),
    "NaN in the body": _answer(body_start=b"[NaN, Infinity, -Infinity]"),
    "1e400 in the body": _answer(body_start=b"[1e400, -1e-400]"),
    "digits in the body": _answer(body_start=b"9" * 15_000),
    "deep body": _answer(body_start=_nested(7_000).encode()),
    "rather deep body": _answer(body_start=_nested(60).encode()),
    "NaN ms": {"result": result(total_ms=float("nan"), phases=Phases(dns=float("inf")))},
    "1e300 ms": {"result": result(total_ms=1e300)},
    "huge status and size": _answer(status_code=2**40, size_bytes=2**70),
    "long version": _answer(http_version="HTTP/1.1.1.1"),
    "no address": {"result": result(resolved_ip="not an address")},
    "NUL in the message": {
        "result": result(failure=Failure(type=ErrorType.CONNECT_REFUSED, message="a\x00\ud800\n"))
    },
    "name with NUL": {"name": "\x00\ud800" * 100},
    "year 9999": {"scheduled_at": _LAST_YEAR, "executed_at": _LAST_YEAR},
    "year 1": {"scheduled_at": datetime(1, 1, 1, tzinfo=UTC)},
    "huge attempts": {"attempts": 10**9},
    "other datacenter": {"origin": origin(datacenter_id=2, agent_id=None)},
    "unknown term": {"origin": origin(term=10**15, agent_id=None)},
    "no holder": {"origin": origin(holder="nobody", agent_id=None)},
    "failure": {"result": failed()},
}

BODIES: Mapping[str, Callable[[Maker, int], str]] = {
    "no JSON": lambda make, n: make.body(n)[:-5],
    "nothing": lambda make, n: "",
    "a blank": lambda make, n: " \n",
    "a number": lambda make, n: "5",
    "null": lambda make, n: "null",
    "an array": lambda make, n: f"[{make.body(n)}]",
    "an empty object": lambda make, n: "{}",
    "two objects": lambda make, n: f"{make.body(n)},{make.body(n, scheduled_at='2000-01-01')}",
    "raw NUL": lambda make, n: make.body(n, error_message="here").replace("here", "\x00"),
    "NULs only": lambda make, n: "\x00" * 400,
    "escaped NUL": lambda make, n: make.body(n, error_message="a\x00b"),
    "lone surrogate": lambda make, n: make.body(n, error_message="\ud800"),
    "NaN": lambda make, n: make.body(n, response_time_ms=float("nan")),
    "1e400": lambda make, n: make.body(n, wait_ms=7.5).replace("7.5", "1e400"),
    "digits": lambda make, n: make.body(n, wait_ms=7.5).replace("7.5", "9" * 100_000),
    "no time": lambda make, n: make.body(n, scheduled_at="yesterday-ish"),
    "year 99999": lambda make, n: make.body(n, executed_at="99999-01-01T00:00:00Z"),
    "year 1000000": lambda make, n: make.body(n, scheduled_at="1000000-01-01"),
    "infinity": lambda make, n: make.body(n, scheduled_at="infinity"),
    "no monitor": lambda make, n: make.body(n, monitor_id=None, error_message=f"tag {n}"),
    "huge monitor": lambda make, n: make.body(n, monitor_id=2**63, error_message=f"tag {n}"),
    "no status": lambda make, n: make.body(n, status=None),
    "odd status": lambda make, n: make.body(n, status="rather well"),
    "term in words": lambda make, n: make.body(n, term="first"),
    "rather deep": lambda make, n: _deep(make, n, 900),
    "deep": lambda make, n: _deep(make, n, 3_000),
    "very deep": lambda make, n: _deep(make, n, 100_000),
    "10 MB": lambda make, n: make.body(n, error_message="x" * _TEN_MB),
    "wrong types": lambda make, n: make.body(n, raw_response_headers=[1], attempts="many"),
    "quotes": lambda make, n: make.body(n, status="'); DROP TABLE api_heartbeats; --"),
}


def _deep(make: Maker, number: int, depth: int) -> str:
    return make.body(number, raw_response_body="deep").replace('"deep"', _nested(depth))
