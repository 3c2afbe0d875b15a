"""Does no form of a secret get through, and does everything else?"""

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import heartbeat, monitor, result
from uptimeo.cli.waterfall import beat_as_json
from uptimeo.domain.heartbeat import EvidenceReason, to_wire
from uptimeo.domain.redaction import Redactor, literal_secrets
from uptimeo.domain.result import ErrorType, Exchange, Failure
from uptimeo.domain.text import REDACTED

# No surrogates: a value is a text that can be sent.
SECRETS = st.text(st.characters(codec="utf-8"), min_size=6, max_size=40).filter(
    lambda text: text.strip() == text and text.lower() not in REDACTED
)
# No word of our own begins so.
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=5).map(
    "~{}".format
)
AROUND = st.text(st.characters(codec="ascii", categories=["L", "N", "Z"]), max_size=8)


def in_base64(value: str) -> str:
    return b64encode(value.encode()).decode().rstrip("=")


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent": lambda value: quote(value, safe=""),
    "percent, small letters": lambda value: quote(value, safe="").lower(),
    "percent but for slashes": quote,
    "form": quote_plus,
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "HTML": html.escape,
    "base64": in_base64,
    "base64 for URLs": lambda value: urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "base64 in a URL": lambda value: quote(in_base64(value), safe=""),
    "hexadecimal": lambda value: value.encode().hex(),
    "hexadecimal, large letters": lambda value: value.encode().hex().upper(),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_a_secret_is_found_in_every_encoding(
    encode: Callable[[str], str], secret: str, before: str, after: str
) -> None:
    form = encode(secret)

    shown = Redactor(frozenset({secret})).text(f"{before} {form} {after}")

    assert form.lower() not in shown.lower().replace(REDACTED, "")
    assert REDACTED in shown


@given(secret=SECRETS, user=st.text(st.characters(codec="ascii", categories=["L"]), max_size=9))
def test_a_password_is_found_in_the_credentials_of_a_request(secret: str, user: str) -> None:
    header = b64encode(f"{user}:{secret}".encode()).decode()

    shown = Redactor(frozenset({secret})).text(f"Basic {header}")

    # What is left is the user's; at most six bits of the first or last byte were shared.
    assert REDACTED in shown
    assert len(shown.replace(REDACTED, "")) <= len("Basic ") + 4 * (len(user) + 1) / 3 + 3


@given(secret=SECRETS, cut=st.integers(4, 39), mark=st.sampled_from(["", "…", "...", "'"]))
def test_where_a_text_was_cut_the_beginning_of_a_secret_is_hidden_too(
    secret: str, cut: int, mark: str
) -> None:
    beginning = secret[: min(cut, len(secret) - 1)].rstrip("…'\". ")
    redactor = Redactor(frozenset({secret}))

    shown = redactor.text(f"got {beginning}{mark}")

    assert len(beginning) < 4 or beginning not in shown.replace(REDACTED, "")


@given(st.text(), st.binary())
def test_without_secrets_nothing_changes(text: str, body: bytes) -> None:
    assert (Redactor().text(text), Redactor().body(body)) == (text, body)


@given(SECRETS, st.binary(max_size=30), st.binary(max_size=30))
def test_the_other_bytes_of_a_body_stay(secret: str, before: bytes, after: bytes) -> None:
    redactor = Redactor(frozenset({secret}))
    body = before + b"\xff" + secret.encode() + b"\xff" + after

    shown = redactor.body(body)

    assert secret.encode() not in shown
    assert REDACTED.encode() in shown
    assert len(secret) < 8 or b"\xff" in shown


def test_numbers_and_keys_count_too() -> None:
    redactor = Redactor(frozenset({"1234567"}))

    shown = redactor.value({"pin": 1234567, "at 1234567": [True, None, 7, 1.5]})

    assert shown == {"pin": REDACTED, f"at {REDACTED}": [True, None, 7, 1.5]}


@settings(max_examples=60)
@given(secret=PRINTABLE, encode=st.sampled_from(list(ENCODINGS.values())))
def test_nothing_that_a_target_sends_back_brings_a_secret_into_a_heartbeat_or_the_command_line(
    secret: str, encode: Callable[[str], str]
) -> None:
    echo = encode(secret)
    told = f"the server said: {echo}"
    exchange = Exchange(
        request_headers=(("X-Mine", secret), (secret, "x")),
        response_headers=(("Server", echo), ("X-Echo", told), ("Location", f"/{echo}?q={echo}")),
        status_code=500,
        http_version="1.1",
        body_start=json.dumps({"echo": echo, secret: 1}).encode(),
    )
    redactor = Redactor(frozenset({secret}))
    seen = result(
        exchange=exchange,
        failure=Failure(type=ErrorType.UNEXPECTED, message=told),
        facts={"answers": [echo], "hops": [{"url": f"https://x/{echo}"}], echo: told},
        certificate={"subject": f"CN={echo}"},
    )
    target = f"https://shop.example/{echo}?token={echo}"
    for keep_body in (True, False):
        beat = heartbeat(
            monitor=monitor(keep_body=keep_body, redactor=redactor, target=target),
            result=redactor.result(seen),
            evidence=EvidenceReason.FAILURE,
        )

        assert leaks(json.loads(to_wire(beat)), secret, echo) == []
        assert leaks(beat_as_json(beat), secret, echo) == []


def leaks(value: Any, *forms: str) -> list[str]:
    """The texts of a JSON value in which one of the forms stands, whatever its case."""
    if isinstance(value, dict):
        return [each for pair in value.items() for part in pair for each in leaks(part, *forms)]
    if isinstance(value, list):
        return [each for one in value for each in leaks(one, *forms)]
    text = str(value).replace(REDACTED, "\n").lower()
    return [text for form in forms if form.lower() in text]


def test_what_a_row_says_itself_is_known_by_its_place() -> None:
    row = {
        "url": "https://ann:open-sesame@shop.example/",
        "headers": {"Authorization": "Bearer abcdefgh12345", "Accept": "text/html"},
        "options": {"auth": {"kind": "bearer", "token": "xyzxyzxyz"}, "token_url": "https://t"},
    }

    assert set(literal_secrets(row)) == {
        "open-sesame",
        "Bearer abcdefgh12345",
        "abcdefgh12345",
        "xyzxyzxyz",
    }
