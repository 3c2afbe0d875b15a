"""Can PostgreSQL store, and a person read, whatever comes from outside?"""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import heartbeat, monitor, origin, result
from uptimeo.domain.heartbeat import EvidenceReason, to_wire
from uptimeo.domain.result import ErrorType, Exchange, Failure, Phases
from uptimeo.domain.text import (
    REDACTED,
    SECRET_HEADERS,
    is_secret_header,
    masked,
    one_line,
    storable,
    storable_body,
    storable_headers,
)

NASTY = st.text(
    st.characters(exclude_categories=())
    | st.sampled_from('\x00\ud800\udfff\ud83d\x1b\r\n\t\u2028\u202e\x7f\x85é漢🙂{}[]"\\,:')
)
LIMITS = st.integers(min_value=1, max_value=300)
PAIRS = st.lists(st.tuples(NASTY, NASTY), max_size=8).map(tuple)
JSON_TEXTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NASTY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NASTY, inner, max_size=4),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())
BODIES = st.binary(max_size=300) | JSON_TEXTS
NUMBERS = st.none() | st.floats()


def assert_postgres_takes(value: Any, depth: int = 100) -> None:
    """jsonb refuses NUL, lone surrogates, NaN and deep nesting."""
    assert depth > 0
    match value:
        case str():
            assert "\x00" not in value
            value.encode("utf-8")
        case float():
            assert math.isfinite(value)
        case dict():
            for key, inner in value.items():
                assert_postgres_takes(key)
                assert_postgres_takes(inner, depth - 1)
        case list():
            for inner in value:
                assert_postgres_takes(inner, depth - 1)


@given(NASTY, LIMITS)
def test_storable_text_is_safe_and_within_its_limit(text: str, limit: int) -> None:
    shown = storable(text, limit)

    assert_postgres_takes(shown)
    assert len(shown) <= limit


@given(st.text(max_size=50).filter(lambda text: "\x00" not in text))
def test_harmless_text_is_stored_as_it_is(text: str) -> None:
    assert storable(text, 50) == text


def test_a_cut_text_says_so() -> None:
    assert storable("abcdef", 4) == "abc\N{HORIZONTAL ELLIPSIS}"


@given(NASTY, LIMITS)
def test_one_line_is_safe_printable_and_within_its_limit(text: str, limit: int) -> None:
    shown = one_line(text, limit)

    assert_postgres_takes(shown)
    assert len(shown) <= limit
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1


@given(PAIRS, st.integers(min_value=0, max_value=200))
def test_storable_headers_are_safe_and_within_their_limit(
    headers: tuple[tuple[str, str], ...], limit: int
) -> None:
    kept = storable_headers(headers, limit)

    assert_postgres_takes(kept)
    assert sum(len(key) + len(value) for key, value in kept.items()) <= limit


def test_many_repeats_of_a_short_header_stay_within_the_limit() -> None:
    kept = storable_headers((("a", ""),) * 5000)

    assert sum(len(key) + len(value) for key, value in kept.items()) <= 4096


def test_repeated_headers_are_joined_in_their_order() -> None:
    assert storable_headers((("Via", "a"), ("Age", "1"), ("Via", "b"))) == {
        "Via": "a, b",
        "Age": "1",
    }


@pytest.mark.parametrize("name", [*sorted(SECRET_HEADERS), "X-Vault-Token", "Client-Secret"])
def test_the_value_of_a_secret_header_is_never_kept(name: str) -> None:
    kept = storable_headers(((name.title(), "hunter2"), (name.upper(), "hunter3")))

    assert is_secret_header(name.upper())
    assert set(kept) == {name.title(), name.upper()}
    assert set(kept.values()) <= {REDACTED, f"{REDACTED}, {REDACTED}"}


def test_an_ordinary_header_is_not_redacted() -> None:
    assert storable_headers((("Content-Type", "text/html"),)) == {"Content-Type": "text/html"}


@given(BODIES, st.booleans(), LIMITS)
def test_a_storable_body_is_safe_and_within_its_limit(
    body: bytes, truncated: bool, limit: int
) -> None:
    shown = storable_body(body, truncated=truncated, limit=limit)

    assert_postgres_takes(shown)
    if isinstance(shown, str):
        assert len(shown) <= limit


def test_a_whole_json_body_is_stored_as_json() -> None:
    assert storable_body(b'{"ok": true, "n": [1, 2.5]}', truncated=False) == {
        "ok": True,
        "n": [1, 2.5],
    }


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        '{"n": Infinity}',
        "[-Infinity]",
        "1e999",
        "9" * 5000,
        "[" * 65 + "]" * 65,
        "[" * 8000 + "]" * 8000,
        '{"a":' * 70 + "1" + "}" * 70,
        r'"\u0000"',
        r'{"\u0000": 1}',
        r'["\ud800"]',
        '{"a": 1',
    ],
    ids=lambda text: text[:12],
)
def test_json_that_postgresql_may_refuse_is_stored_as_a_string(text: str) -> None:
    assert storable_body(text.encode(), truncated=False) == text


def test_a_truncated_body_is_never_taken_for_json() -> None:
    assert storable_body(b"123", truncated=True) == "123"


def test_a_body_beyond_the_limit_is_never_taken_for_json() -> None:
    assert storable_body(b"123456", truncated=False, limit=3) == "123"


@given(
    texts=st.lists(NASTY, min_size=6, max_size=6),
    numbers=st.lists(NUMBERS, min_size=9, max_size=9),
    request_headers=PAIRS,
    response_headers=PAIRS,
    body=BODIES,
    whole=st.booleans(),
)
def test_the_wire_form_of_any_heartbeat_is_json_that_postgresql_takes(
    texts: list[str],
    numbers: list[float | None],
    request_headers: tuple[tuple[str, str], ...],
    response_headers: tuple[tuple[str, str], ...],
    body: bytes,
    whole: bool,
) -> None:
    name, message, address, version, content_type, server = texts
    named = (("Content-Type", content_type), ("Server", server))
    exchange = Exchange(
        request_headers=request_headers,
        response_headers=response_headers + named,
        status_code=200,
        http_version=version,
        body_start=body,
        body_truncated=not whole,
    )
    beat = heartbeat(
        monitor=monitor(name=name),
        evidence=EvidenceReason.FAILURE,
        result=result(
            total_ms=numbers[1],
            ttfb_ms=numbers[2],
            phases=Phases(
                dns=numbers[3],
                connect=numbers[4],
                tls=numbers[5],
                send=numbers[6],
                wait=numbers[7],
                transfer=numbers[8],
            ),
            resolved_ip=address,
            exchange=exchange,
            failure=Failure(type=ErrorType.HTTP_STATUS, message=message),
        ),
    )

    wire = to_wire(beat)

    wire.encode("utf-8")
    assert_postgres_takes(json.loads(wire, parse_constant=pytest.fail))


def test_nothing_of_a_secret_header_reaches_the_wire() -> None:
    exchange = Exchange(
        request_headers=(("Authorization", "Bearer hunter2"),),
        response_headers=(("Set-Cookie", "session=hunter2"),),
    )

    wire = to_wire(
        heartbeat(
            origin=origin(), evidence=EvidenceReason.FAILURE, result=result(exchange=exchange)
        )
    )

    assert "hunter2" not in wire


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Location", "https://a.example/?token=hunter2&x=1#f", f"?token={REDACTED}&x={REDACTED}"),
        ("Refresh", "5; url=https://ann:hunter2@a.example/", f"https://{REDACTED}@a.example/"),
        ("Link", "<https://a.example/?page=hunter2>; rel=next", f"page={REDACTED}>; rel=next"),
        ("X-Session-Id", "hunter2", REDACTED),
    ],
)
def test_the_secrets_in_the_urls_of_headers_are_not_stored(
    name: str, value: str, shown: str
) -> None:
    stored = storable_headers(((name, value),))[name]

    assert "hunter2" not in stored
    assert shown in stored


@pytest.mark.parametrize(
    "connection",
    [
        "postgresql://ann:hunter2@db.example:5432/uptimeo",
        "postgresql://:hunter2@db.example/uptimeo",
        "postgresql://ann:hun@ter2@db.example/uptimeo",
        "postgresql://ann:hun/ter2@db.example/uptimeo",
        "postgresql://ann:hun?ter2@db.example/uptimeo",
        "postgresql://ann:hun:ter2@[::1]:5432/uptimeo",
        "mysql://ann:hunter2@db.example",
        "postgres:/ann:hunter2@db.example",
        "ann:hunter2@db.example:5432/uptimeo",
        "postgresql://db.example/uptimeo?user=ann&password=hunter2",
        "host=db.example password=hunter2 user=ann",
        "host=db.example PASSWORD = 'hunter2' user=ann",
        r"host=db.example password='it\'s hunter2' user=ann",
        r"host=db.example password=a\ hunter2 user=ann",
        "host=db.example password=a&hunter2",
        "host=db.example password='hunter2 not closed",
        "host=db.example sslpassword=hunter2",
        "postgresql://ann:line\nhunter2@db.example",
    ],
)
def test_a_masked_connection_string_shows_no_password(connection: str) -> None:
    shown = masked(connection)

    assert "hunter2" not in shown
    assert "hun" not in shown
    assert "ter2" not in shown
    assert REDACTED in shown


@pytest.mark.parametrize(
    "connection", ["postgresql://ann@db.example:5432/uptimeo", "host=db.example user=ann", "x"]
)
def test_what_has_no_password_is_shown_as_it_is(connection: str) -> None:
    assert masked(connection) == connection
