"""Does each assertion hold when it should, and say what was expected and what came?"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from uptimeo.domain.result import ErrorType, Phases
from uptimeo.probes.answers.assertions import (
    AssertionResult,
    Assertions,
    Subject,
    assertion_failure,
    judge_assertions,
)
from uptimeo.probes.answers.judging import judge
from uptimeo.probes.network.certificates import CertificateFacts

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
CERTIFICATE = CertificateFacts(
    subject="CN=shop",
    issuer="CN=ca",
    names=("shop.example",),
    serial="1",
    fingerprint="0" * 64,
    key="RSA 2048",
    leaf_begins=NOW,
    leaf_expires=NOW + timedelta(days=20),
    chain_expires=NOW + timedelta(days=10),
    presented=2,
)
SEEN = Subject(
    now=NOW,
    total_ms=120.0,
    ttfb_ms=90.0,
    phases=Phases(dns=20.0, own={"login": 30.0}),
    status=200,
    http_version="2",
    headers=(("Server", "nginx/1.29"), ("Set-Cookie", "id=7"), ("X-Role", "a"), ("x-role", "b")),
    body=b'{"state": "up", "n": 3, "ok": true, "items": [{"p": 1}, {"p": 9}], "none": null}',
    size_bytes=78,
    certificate=CERTIFICATE,
)


class Options(BaseModel):
    assertions: Assertions


def judged(subject: Subject = SEEN, /, **assertion: Any) -> AssertionResult:
    options = Options.model_validate({"assertions": [assertion]})
    (result,) = judge_assertions(options.assertions, subject)
    return result


HOLDING: list[dict[str, Any]] = [
    {"kind": "status", "codes": "200-299,301"},
    {"kind": "header", "name": "server"},
    {"kind": "header", "name": "server", "contains": "nginx"},
    {"kind": "header", "name": "x-role", "equals": "b"},
    {"kind": "header", "name": "server", "matches": r"^nginx/\d"},
    {"kind": "body", "contains": "up"},
    {"kind": "body", "matches": r'"n": \d'},
    {"kind": "json", "path": "$.state"},
    {"kind": "json", "path": "$.state", "equals": "up"},
    {"kind": "json", "path": "$.none", "equals": None},
    {"kind": "json", "path": "$.state", "matches": "^u"},
    {"kind": "json", "path": "$.n", "min": 0, "max": 3},
    {"kind": "json", "path": "$.items[?@.p > 5].p", "equals": 9},
    {"kind": "schema", "schema": {"type": "object", "required": ["state"]}},
    {"kind": "size", "min_bytes": 1, "max_bytes": 78},
    {"kind": "latency", "max_ms": 120},
    {"kind": "latency", "of": "dns", "max_ms": 21},
    {"kind": "latency", "of": "login", "max_ms": 30},
    {"kind": "latency", "of": "ttfb", "max_ms": 90},
    {"kind": "certificate", "min_days": 20},
    {"kind": "certificate", "min_days": 10, "chain": True},
    {"kind": "http_version", "versions": ["2", "3"]},
]
FAILING: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "status", "codes": "500"}, "status 500", "status 200"),
    ({"kind": "header", "name": "Age"}, "header Age is there", "no header Age"),
    (
        {"kind": "header", "name": "server", "equals": "apache"},
        "header server is 'apache'",
        "nginx/1.29",
    ),
    (
        {"kind": "header", "name": "set-cookie", "equals": "id=8"},
        "header set-cookie is 'id=8'",
        "[redacted]",
    ),
    (
        {"kind": "body", "contains": "down"},
        "body contains 'down'",
        f"a body that begins {SEEN.body.decode()[:100]!r}",
    ),
    ({"kind": "json", "path": "$.gone"}, "$.gone is there", "nothing at $.gone"),
    ({"kind": "json", "path": "$.ok", "equals": 1}, "$.ok is 1", "True"),
    ({"kind": "json", "path": "$.n", "min": 4}, "$.n is at least 4", "3"),
    ({"kind": "json", "path": "$.n", "max": 0}, "$.n is at most 0", "3"),
    ({"kind": "json", "path": "$.ok", "max": 5}, "$.ok is at most 5", "True"),
    (
        {"kind": "schema", "schema": {"properties": {"n": {"type": "string"}}}},
        "a body that follows the schema",
        "$.n: 3 is not of type 'string'",
    ),
    ({"kind": "size", "max_bytes": 10}, "a body of 0 to 10 bytes", "78 bytes"),
    ({"kind": "latency", "max_ms": 100}, "total within 100 ms", "120.000 ms"),
    (
        {"kind": "latency", "of": "tls", "max_ms": 1},
        "tls within 1 ms",
        "no phase tls in this check",
    ),
    (
        {"kind": "certificate", "min_days": 21},
        "a certificate that is valid for at least 21 days",
        "one that is valid for 20.0 days",
    ),
    (
        {"kind": "certificate", "min_days": 11, "chain": True},
        "a certificate chain that is valid for at least 11 days",
        "one that is valid for 10.0 days",
    ),
    ({"kind": "http_version", "versions": ["1.1"]}, "HTTP/1.1", "HTTP/2"),
]


@pytest.mark.parametrize("assertion", HOLDING, ids=str)
def test_what_is_so_holds_and_its_contrary_does_not(assertion: dict[str, Any]) -> None:
    assert judged(**assertion).ok
    assert not judged(**assertion, negate=True).ok


@pytest.mark.parametrize(("assertion", "expected", "got"), FAILING, ids=str)
def test_what_is_not_so_says_what_was_expected_and_what_came(
    assertion: dict[str, Any], expected: str, got: str
) -> None:
    result = judged(**assertion)

    assert (result.ok, result.expected, result.got) == (False, expected, got)


def test_a_negated_one_that_fails_says_so() -> None:
    assert judged(kind="status", codes="200", negate=True).expected == "not: status 200"


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize(
    "assertion",
    [
        {"kind": "status", "codes": "200"},
        {"kind": "json", "path": "$.a"},
        {"kind": "schema", "schema": {}},
        {"kind": "size", "max_bytes": 1},
        {"kind": "certificate", "min_days": 1},
        {"kind": "http_version", "versions": ["1.1"]},
        {"kind": "latency", "of": "wait", "max_ms": 1},
    ],
    ids=str,
)
def test_where_there_is_nothing_to_look_at_nothing_holds(
    assertion: dict[str, Any], negate: bool
) -> None:
    assert not judged(Subject(now=NOW, total_ms=1.0), **assertion, negate=negate).ok


@pytest.mark.parametrize(
    "assertion",
    [
        {"kind": "body", "matches": "(a+)+$"},
        {"kind": "json", "path": "$.text", "matches": "(a+)+$"},
        {"kind": "schema", "schema": {"properties": {"text": {"pattern": "(a+)+$"}}}},
    ],
    ids=str,
)
async def test_a_pattern_that_takes_for_ever_ends_and_fails(assertion: dict[str, Any]) -> None:
    body = b'{"text": "' + b"a" * 5000 + b"!" + b'"}'
    options = Options.model_validate({"assertions": [assertion]})

    (result,) = await judge(options.assertions, Subject(now=NOW, total_ms=1.0, body=body))

    assert not result.ok
    assert "did not come to an end within 250 ms" in result.got


def test_a_schema_does_not_ask_the_network() -> None:
    result = judged(kind="schema", schema={"$ref": "http://127.0.0.1:9/schema.json"})

    assert "the schema cannot be followed" in result.got


@pytest.mark.parametrize(
    ("assertion", "reason"),
    [
        ({"kind": "weather"}, "does not match any of the expected tags"),
        ({"kind": "status", "codes": "20x"}, "is not a status or range"),
        ({"kind": "header", "name": "a", "equals": "b", "contains": "c"}, "only one of"),
        ({"kind": "body"}, "one of equals, contains and matches is needed"),
        ({"kind": "body", "matches": "("}, "is not a regular expression"),
        ({"kind": "json", "path": "$["}, "is not a JSONPath"),
        ({"kind": "json", "path": "$[?search(@.a, 'x')]"}, "is not a JSONPath"),
        ({"kind": "schema", "schema": {"type": "thing"}}, "it is not a JSON Schema"),
        ({"kind": "size"}, "min_bytes or max_bytes is needed"),
    ],
    ids=str,
)
def test_what_cannot_be_asserted_is_refused_with_the_reason(
    assertion: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        judged(**assertion)


def test_the_failure_names_the_address_and_counts_the_rest() -> None:
    results = (
        AssertionResult(ok=True, expected="a", got="b"),
        AssertionResult(ok=False, expected="c", got="d"),
        AssertionResult(ok=False, expected="e", got="f"),
    )

    failure = assertion_failure(results, "192.0.2.1:443")

    assert failure is not None
    assert failure.type is ErrorType.ASSERTION
    assert failure.message == "192.0.2.1:443: expected c, got d; 1 more failed"
    assert assertion_failure(results[:1], "x") is None
