"""Does a bad config row disable its own monitor, say why, and keep its secrets?"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import URL, row
from uptimeo.catalog.rows import to_monitor
from uptimeo.domain.errors import InvalidMonitorError
from uptimeo.domain.monitor import Monitor, Thresholds
from uptimeo.domain.references import Reference, Source, Values
from uptimeo.probes.http import HttpOptions, HttpProbe
from uptimeo.probes.registry import ProbeRegistry

SECRET = "hunter2"


@pytest.fixture
async def registry() -> AsyncIterator[ProbeRegistry]:
    installed = ProbeRegistry.installed()
    yield installed
    await installed.aclose()


def reason_of(registry: ProbeRegistry, **changes: Any) -> str:
    """Why the row cannot be a monitor."""
    with pytest.raises(InvalidMonitorError) as caught:
        to_monitor(row(**changes), registry)
    return str(caught.value)


def http(monitor: Monitor) -> HttpOptions:
    assert isinstance(monitor.options, HttpOptions)
    return monitor.options


def test_a_plain_row_is_a_monitor_with_defaults(registry: ProbeRegistry) -> None:
    assert to_monitor(row(), registry) == Monitor(
        id=to_monitor(row(), registry).id,
        name="checkout",
        type="http",
        target=URL,
        interval_s=60,
        timeout_ms=10_000,
        thresholds=Thresholds(),
        keep_body=False,
        options=HttpOptions(url=URL),
    )


def test_every_column_finds_its_way(registry: ProbeRegistry) -> None:
    monitor = to_monitor(
        row(
            type="HTTPS",
            method="post",
            headers={"X-Api-Key": SECRET},
            body={"ping": 1},
            options={"expected_status": "201", "follow_redirects": False},
            timeout_ms=3000,
            interval_s=30,
            warning_ms=100,
            critical_ms=500,
            keep_body=True,
        ),
        registry,
    )

    assert (monitor.type, monitor.interval_s, monitor.timeout_ms) == ("https", 30, 3000)
    assert monitor.thresholds == Thresholds(warning_ms=100, critical_ms=500)
    assert monitor.keep_body
    assert http(monitor) == HttpOptions(
        url=URL,
        method="POST",
        headers={"X-Api-Key": SECRET},
        body={"ping": 1},
        expected_status="201",
        follow_redirects=False,
    )


def test_equal_rows_are_equal_monitors(registry: ProbeRegistry) -> None:
    first, second = (to_monitor(row(headers={"A": "1"}), registry) for _ in range(2))

    assert first == second


@pytest.mark.parametrize(
    ("timeout_ms", "interval_s", "effective_ms"), [(90_000, 60, 60_000), (None, 5, 5000)]
)
def test_a_timeout_is_capped_by_the_interval(
    registry: ProbeRegistry, timeout_ms: int | None, interval_s: int, effective_ms: int
) -> None:
    monitor = to_monitor(row(timeout_ms=timeout_ms, interval_s=interval_s), registry)

    assert monitor.timeout_ms == effective_ms


def test_the_target_is_shown_without_credentials(registry: ProbeRegistry) -> None:
    monitor = to_monitor(row(url=f"https://ann:{SECRET}@shop.example/health"), registry)

    assert monitor.target == URL


def test_a_schedule_that_says_nothing_about_bodies_keeps_none(registry: ProbeRegistry) -> None:
    assert to_monitor(row(keep_body=None), registry).keep_body is False


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"interval_s": None}, "schedule_id: the monitor has no schedule"),
        ({"type": "GOPHER"}, "type: 'GOPHER' is not installed; there are: "),
        ({"type": ""}, "type: '' is not installed; there are: "),
        ({"options": []}, "options: must be a JSON object"),
        ({"options": None}, "options: must be a JSON object"),
        ({"options": "x"}, "options: must be a JSON object"),
        ({"headers": []}, "headers: must be a JSON object of names and values"),
        ({"headers": "A: 1"}, "headers: must be a JSON object of names and values"),
        ({"headers": 1}, "headers: must be a JSON object of names and values"),
        ({"options": {"speed": 1}}, "speed: extra inputs are not permitted"),
        ({"options": {"url": URL}}, "options: 'url' belongs into the column of that name"),
        ({"options": {"method": "GET"}}, "options: 'method' belongs into the column of that name"),
        ({"options": {"body": "x"}}, "options: 'body' belongs into the column of that name"),
        (
            {"options": {"headers": {"A": "1"}}},
            "options: 'headers' belongs into the column of that name",
        ),
        (
            {"options": {"headers": {"A": "1"}}, "headers": {"B": "2"}},
            "options: 'headers' belongs into the column of that name",
        ),
        ({"url": ""}, "url: string should have at least 1 character"),
        ({"url": "shop.example"}, "url: the URL must start with http:// or https://"),
        ({"url": "ftp://shop.example"}, "url: the URL must start with http:// or https://"),
        ({"url": "https://"}, "url: the URL names no host"),
        ({"url": "https://shop.example:0/"}, "url: port 0 cannot be connected to"),
        ({"url": "https://a b/"}, "url: the URL contains a space or a control character"),
        ({"url": "https://a/\r\nX: 1"}, "url: the URL contains a space or a control character"),
        (
            {"headers": {"X-A": "1\r\nX-B: 2"}},
            "headers: the value of header X-A contains a line break or NUL",
        ),
        (
            {"headers": {"X-A": "1\n2"}},
            "headers: the value of header X-A contains a line break or NUL",
        ),
        ({"headers": {"X A": "1"}}, "headers: 'X A' is not a header name"),
        ({"headers": {"X-A\r\nX-B": "1"}}, r"headers: 'X-A\r\nX-B' is not a header name"),
        ({"headers": {"": "1"}}, "headers: '' is not a header name"),
        ({"headers": {"X-A": 1}}, "headers.X-A: input should be a valid string"),
        ({"headers": {"X-A": None}}, "headers.X-A: input should be a valid string"),
        ({"method": "GET /"}, "method: the method must be one word such as GET"),
        ({"method": "HEAD", "body": "x"}, "options: a HEAD request cannot carry a body"),
        ({"options": {"expected_status": "ok"}}, "expected_status: 'ok' is not a status or range"),
        ({"options": {"max_redirects": 11}}, "max_redirects: input should be less than or equal"),
        ({"options": {"ca_pem": "none"}}, "ca_pem: ca_pem holds no certificate in PEM format"),
    ],
    ids=str,
)
def test_a_bad_row_is_refused_with_the_column_and_the_reason(
    registry: ProbeRegistry, changes: dict[str, Any], reason: str
) -> None:
    assert reason_of(registry, **changes).startswith(reason)


@pytest.mark.parametrize(
    "url", ["https://shop.example:http/", "https://[::1/", "https://shop:99999"]
)
def test_a_url_that_cannot_be_parsed_is_refused_and_its_column_named(
    registry: ProbeRegistry, url: str
) -> None:
    assert reason_of(registry, url=url).startswith("url: ")


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {"Authorization": f"Bearer {SECRET}\r\n"}},
        {"headers": {"Authorization": [SECRET]}},
        {"headers": {"Authorization": {SECRET: 1}}},
        {"headers": [SECRET]},
        {"headers": SECRET},
        {"options": [SECRET]},
        {"options": {"speed": SECRET}},
        {"options": {"headers": {"Authorization": SECRET}}},
        {"options": {"ca_pem": SECRET}},
        {"options": {"max_redirects": SECRET}},
        {"url": f"ftp://ann:{SECRET}@shop.example"},
        {"url": f"https://ann:{SECRET} @shop.example"},
        {"url": f"https://ann:{SECRET}@shop.example:port/"},
        {"method": "HEAD", "body": {"password": SECRET}},
    ],
    ids=str,
)
def test_a_reason_never_repeats_a_value_that_may_be_secret(
    registry: ProbeRegistry, changes: dict[str, Any]
) -> None:
    assert SECRET not in reason_of(registry, **changes)


def test_a_reason_is_one_line_of_a_readable_length(registry: ProbeRegistry) -> None:
    reason = reason_of(registry, options={"a\nb\x00" * 500: 1})

    assert reason.isprintable()
    assert len(reason) <= 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
OPTION_NAMES = st.sampled_from([*HttpOptions.model_fields, "speed"]) | st.text(max_size=5)
HEADERS = st.dictionaries(st.text(max_size=8), JSON, max_size=3)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["HTTP", "https", "tcp"]) | st.text(max_size=10),
        "method": st.sampled_from(["GET", "HEAD", "POST"]) | st.text(max_size=10),
        "url": st.text(max_size=50) | st.text(max_size=30).map(lambda text: f"https://{text}"),
        "headers": JSON | HEADERS,
        "body": JSON,
        "options": JSON | st.dictionaries(OPTION_NAMES, JSON, max_size=3),
        "timeout_ms": st.none() | st.integers(1, 86_400_000),
        "interval_s": st.none() | st.integers(1, 86_400),
    },
)


class OptionsOnly(HttpProbe):
    """A probe that never probes, and so needs neither libcurl nor a loop."""

    def __init__(self) -> None:
        pass


@settings(max_examples=400)
@given(ROWS)
def test_any_row_is_a_monitor_or_has_a_reason(changes: dict[str, Any]) -> None:
    registry = ProbeRegistry({"http": OptionsOnly(), "https": OptionsOnly()})

    monitor, reason = None, "none: it is valid"
    try:
        monitor = to_monitor(row(**changes), registry)
    except InvalidMonitorError as error:
        reason = str(error)

    assert monitor is None or 0 < monitor.timeout_ms <= monitor.interval_s * 1000
    assert reason.isprintable()
    assert reason.partition(": ")[0]


def test_references_are_replaced_and_the_values_are_known_to_the_redactor(
    registry: ProbeRegistry,
) -> None:
    known = {Reference(Source.SECRET, "a"): "value-of-a", Reference(Source.FILE, "b"): "5"}
    given = row(
        headers={"X-A": "is {{secret:a}}"},
        url=f"{URL}?k={{{{ secret:a }}}}",
        options={"max_redirects": "{{file:b}}"},
    )

    monitor = to_monitor(given, registry, Values(known))

    assert monitor.options.headers == {"X-A": "is value-of-a"}  # type: ignore[attr-defined]
    assert monitor.options.max_redirects == 5  # type: ignore[attr-defined]
    assert monitor.target == f"{URL}?k=value-of-a"
    assert monitor.redactor.values >= {"value-of-a"}
    assert "value-of-a" not in repr(monitor)


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"expected_status": "{{secret:a}}"}},
        {"options": {"source": "{{secret:a}}"}},
        {"url": "https://{{secret:a}}:port/"},
        {"options": {"connect_to": {"a": "/{{secret:a}}"}}},
    ],
    ids=str,
)
def test_a_reason_never_repeats_what_a_reference_stands_for(
    registry: ProbeRegistry, changes: dict[str, Any]
) -> None:
    values = Values({Reference(Source.SECRET, "a"): SECRET})

    with pytest.raises(InvalidMonitorError) as caught:
        to_monitor(row(**changes), registry, values)

    assert SECRET not in str(caught.value)
