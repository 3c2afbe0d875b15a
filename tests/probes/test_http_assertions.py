"""Is an answer judged by what its monitor asserts, and is what came told?"""

import gzip
import json
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.http_checks import check, failure_of, up
from tests.support.servers import Site, endless, response, serve
from uptimeo.domain.result import ErrorType, ProbeResult
from uptimeo.probes.base import ProbeContext
from uptimeo.probes.http import HttpOptions, HttpProbe

BODY = json.dumps({"status": "ok", "queue": {"depth": 7}}).encode()
ANSWER = response("200 OK", "Content-Type: application/json", "X-Token: s3cret", body=BODY)
SCHEMA = {"type": "object", "required": ["status"], "properties": {"status": {"enum": ["ok"]}}}


async def asserted(*assertions: dict[str, Any], **options: Any) -> ProbeResult:
    async with serve(Site(pages={"/": ANSWER})) as server:
        return await check(server.url(), assertions=assertions, **options)


@pytest.mark.parametrize(
    "assertion",
    [
        {"kind": "status", "codes": "200-299,301"},
        {"kind": "header", "name": "content-type", "contains": "json"},
        {"kind": "body", "contains": '"ok"'},
        {"kind": "body", "matches": r'"depth": \d+'},
        {"kind": "json", "path": "$.queue.depth", "max": 10},
        {"kind": "json", "path": "$.status", "equals": "ok"},
        {"kind": "schema", "schema": SCHEMA},
        {"kind": "size", "max_bytes": 100},
        {"kind": "latency", "of": "connect", "max_ms": 2000},
        {"kind": "latency", "of": "total", "max_ms": 3000},
        {"kind": "http_version", "versions": ["1.1"]},
    ],
    ids=lambda given: given["kind"],
)
async def test_an_assertion_holds_and_its_contrary_does_not(assertion: dict[str, Any]) -> None:
    up(await asserted(assertion))

    result = await asserted(assertion | {"negate": True})

    failure = failure_of(result, ErrorType.ASSERTION)
    assert "expected not: " in failure.message
    assert "got " in failure.message
    assert result.facts["assertions"][0]["ok"] is False


async def test_every_failed_assertion_says_what_was_expected_and_what_came() -> None:
    result = await asserted(
        {"kind": "json", "path": "$.queue.depth", "max": 5},
        {"kind": "header", "name": "X-Token", "equals": "other"},
        {"kind": "body", "contains": "ok"},
    )

    failure = failure_of(result, ErrorType.ASSERTION)
    assert "expected $.queue.depth is at most 5, got 7; 1 more failed" in failure.message
    first, second, third = result.facts["assertions"]
    assert first == {"ok": False, "expected": "$.queue.depth is at most 5", "got": "7"}
    assert second["got"] == "[redacted]"
    assert third["ok"] is True


async def test_an_asserted_status_takes_the_place_of_the_default() -> None:
    async with serve(Site(pages={"/": response("503 Busy")})) as server:
        busy = {"kind": "status", "codes": "503"}
        up(await check(server.url(), assertions=[busy]))
        both = await check(server.url(), assertions=[busy], expected_status="200")

    failure_of(both, ErrorType.HTTP_STATUS)


async def test_a_certificate_is_asserted_by_its_days_left() -> None:
    authority = Authority.new()
    async with serve(Site(), tls=authority.valid()) as server:
        days = {"kind": "certificate", "min_days": 14, "chain": True}
        up(await check(server.url(), assertions=[days], ca_pem=authority.pem))
        result = await check(
            server.url(), assertions=[days | {"negate": True}], ca_pem=authority.pem
        )

    assert "certificate chain" in failure_of(result, ErrorType.ASSERTION).message


async def test_the_whole_body_is_judged_not_the_part_that_is_kept() -> None:
    body = b"x" * 200_000 + b"the end"
    async with serve(Site(pages={"/": response("200 OK", body=body)})) as server:
        found = {"kind": "body", "contains": "the end"}
        result = up(await check(server.url(), assertions=[found]))

    assert result.exchange is not None
    assert len(result.exchange.body_start) == 16_384
    assert result.exchange.body_truncated


async def test_a_body_is_asserted_after_decompression() -> None:
    page = response("200 OK", "Content-Encoding: gzip", body=gzip.compress(b"hello"))
    async with serve(Site(pages={"/": page})) as server:
        found = [{"kind": "body", "equals": "hello"}, {"kind": "size", "max_bytes": 5}]
        up(await check(server.url(), assertions=found, compressed=True))


async def test_a_body_to_be_judged_is_read_up_to_a_mebibyte_only() -> None:
    async with serve(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536)) as server:
        found = {"kind": "body", "contains": "y"}
        result = await check(server.url(), assertions=[found], max_body_bytes=100_000_000)

    assert "1048576 bytes" in failure_of(result, ErrorType.BODY_TOO_LARGE).message


async def test_a_pattern_that_never_ends_fails_within_its_time() -> None:
    async with serve(Site(pages={"/": response("200 OK", body=b"a" * 5000 + b"!")})) as server:
        slow = {"kind": "body", "matches": "(a|a)+$"}
        result = await check(server.url(), assertions=[slow])

    assert "did not come to an end" in failure_of(result, ErrorType.ASSERTION).message


async def test_assertions_are_judged_before_the_budget_is_overdrawn() -> None:
    async with serve(Site(pages={"/": response("200 OK", body=b"a" * 5000 + b"!")})) as server:
        slow = [{"kind": "body", "matches": "(a|a)+$"}] * 20
        result = await check(server.url(), assertions=slow, timeout_ms=300)

    assert server.shown in failure_of(result, ErrorType.TIMEOUT).message


async def test_results_that_hold_are_kept_once() -> None:
    probe = HttpProbe()
    async with serve(Site()) as server:
        options = HttpOptions.model_validate(
            {"url": server.url(), "assertions": [{"kind": "body", "equals": "ok"}]}
        )
        context = ProbeContext(timeout_ms=3000)
        first, again = [up(await probe.probe(options, context)) for _ in range(2)]
    await probe.aclose()

    assert first.facts["assertions"][0]["ok"] is True
    assert "assertions" not in again.facts
