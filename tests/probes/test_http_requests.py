"""Is what the monitor asks for really sent, and what comes back really kept?"""

from typing import Any

import pytest

from tests.support.http_checks import check, failure_of, up
from tests.support.servers import Received, Site, answering, response, serve
from uptimeo.domain.result import ErrorType, Exchange
from uptimeo.probes.http import HttpOptions


async def received(**options: Any) -> Received:
    site = Site()
    async with serve(site) as server:
        up(await check(server.url("/path?query=1"), **options))
    (request,) = site.received
    return request


async def exchanged(answer: bytes, **options: Any) -> Exchange:
    async with serve(answering(answer)) as server:
        exchange = (await check(server.url(), **options)).exchange
    assert exchange is not None
    return exchange


async def test_a_get_request_names_us_and_has_no_body() -> None:
    request = await received()

    assert (request.method, request.path, request.body) == ("GET", "/path?query=1", b"")
    assert (request.header("user-agent") or "").startswith("UptimeO/")
    assert request.header("content-type") is None
    assert request.header("expect") is None


async def test_headers_are_sent_as_they_are_written() -> None:
    headers = {"X-One": "1", "X-Empty": "", "X-Accents": "é", "Authorization": "Basic abc"}

    request = await received(headers=headers)

    assert {name: request.header(name.lower()) for name in headers} == headers


async def test_a_header_of_the_monitor_replaces_our_own() -> None:
    request = await received(
        headers={
            "user-agent": "custom",
            "CONTENT-TYPE": "application/ld+json",
            "Host": "a.example",
        },
        method="POST",
        body={},
    )

    assert [v for k, v in request.headers if k == "user-agent"] == ["custom"]
    assert [v for k, v in request.headers if k == "content-type"] == ["application/ld+json"]
    assert [v for k, v in request.headers if k == "host"] == ["a.example"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
async def test_a_json_body_is_sent_with_any_method(method: str) -> None:
    request = await received(method=method, body={"a": [1, None, "é"]})

    assert request.method == method
    assert request.body == b'{"a": [1, null, "\\u00e9"]}'
    assert request.header("content-type") == "application/json"
    assert request.header("content-length") == str(len(request.body))


async def test_a_string_body_is_sent_as_its_text() -> None:
    request = await received(method="POST", body="plain text", headers={"Content-Type": "text/x"})

    assert request.body == b"plain text"
    assert request.header("content-type") == "text/x"


async def test_a_large_body_is_sent_without_waiting_for_100_continue() -> None:
    request = await received(method="POST", body={"filler": "x" * 2_000_000})

    assert len(request.body) > 2_000_000
    assert request.header("expect") is None


@pytest.mark.parametrize(
    ("body", "body_format", "sent", "kind"),
    [
        (
            {"user": "a b", "n": 1, "on": True, "each": ["x", "y"], "none": None},
            "form",
            b"user=a+b&n=1&on=true&each=x&each=y&none=",
            "application/x-www-form-urlencoded",
        ),
        ("text", "json", b'"text"', "application/json"),
        ("a=1", "text", b"a=1", "text/plain; charset=utf-8"),
        ("AAEC/w==", "base64", b"\x00\x01\x02\xff", "application/octet-stream"),
    ],
)
async def test_a_body_is_sent_in_the_format_that_is_said(
    body: Any, body_format: str, sent: bytes, kind: str
) -> None:
    request = await received(method="POST", body=body, body_format=body_format)

    assert request.body == sent
    assert request.header("content-type") == kind


@pytest.mark.parametrize(
    ("body", "body_format"),
    [("a", "form"), ({"a": {"b": 1}}, "form"), ({"a": 1}, "text"), ("?", "base64"), ([], "base64")],
)
def test_a_body_that_has_not_the_format_is_refused(body: Any, body_format: str) -> None:
    with pytest.raises(ValueError, match=r"form|text|base64"):
        HttpOptions.model_validate(
            {"url": "http://target.example/", "body": body, "body_format": body_format}
        )


@pytest.mark.parametrize("method", ["OPTIONS", "PROPFIND"])
async def test_unusual_methods_are_sent(method: str) -> None:
    assert (await received(method=method.lower())).method == method


async def test_user_and_password_of_the_url_are_sent_but_not_kept() -> None:
    site = Site()
    async with serve(site) as server:
        result = up(await check(server.url(host="user:word@127.0.0.1")))

    assert site.received[0].header("authorization") == "Basic dXNlcjp3b3Jk"
    assert "word" not in repr(result)


async def test_a_head_request_reads_no_body_although_a_length_is_announced() -> None:
    exchange = await exchanged(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", method="HEAD")

    assert exchange.status_code == 200
    assert exchange.size_bytes == 0
    assert exchange.header("content-length") == "5000"


async def test_a_proxy_from_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert (await received()).path == "/path?query=1"


async def test_the_answer_is_kept_with_its_headers() -> None:
    exchange = await exchanged(
        response("201 Created", "X-A: 1", "X-a:  2 ", "X-Raw: caf\xe9", body=b'{"a": 1}')
    )

    assert exchange.status_code == 201
    assert exchange.http_version == "1.1"
    assert exchange.body_start == b'{"a": 1}'
    assert not exchange.body_truncated
    assert exchange.response_headers[1:] == (("X-A", "1"), ("X-a", "2"), ("X-Raw", "café"))
    assert exchange.header("x-a") == "2"
    assert [name for name, _ in exchange.request_headers] == ["User-Agent"]


async def test_only_the_start_of_a_large_body_is_kept() -> None:
    exchange = await exchanged(response("200 OK", body=b"x" * 200_000))

    assert exchange.size_bytes == 200_000
    assert exchange.body_start == b"x" * 16_384
    assert exchange.body_truncated


async def test_invalid_utf8_is_kept_as_bytes_in_the_body_and_replaced_in_headers() -> None:
    exchange = await exchanged(b"HTTP/1.1 200 OK\r\nX-A: \xff\r\nContent-Length: 1\r\n\r\n\xfe")

    assert exchange.body_start == b"\xfe"
    assert exchange.header("x-a") == "\N{REPLACEMENT CHARACTER}"


async def test_early_hints_are_not_taken_for_the_answer() -> None:
    exchange = await exchanged(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response("200 OK", "X-A: 1")
    )

    assert exchange.status_code == 200
    assert exchange.header("link") is None
    assert exchange.header("x-a") == "1"


async def test_a_chunked_body_is_counted_without_its_framing() -> None:
    exchange = await exchanged(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    )

    assert (exchange.size_bytes, exchange.body_start) == (7, b"abcdefg")


@pytest.mark.parametrize(
    ("expected", "status", "fits"),
    [
        ("200-299", 204, True),
        ("200-299", 300, False),
        ("200", 200, True),
        ("200", 201, False),
        ("200,404", 404, True),
        (" 200 - 204 , 500-503 ", 502, True),
        ("200-204,500-503", 404, False),
        ("100-599", 418, True),
    ],
)
async def test_the_expected_status_decides(expected: str, status: int, fits: bool) -> None:
    async with serve(Site(pages={"/": response(f"{status} Some")})) as server:
        result = await check(server.url(), expected_status=expected)

    if fits:
        up(result)
    else:
        failure_of(result, ErrorType.HTTP_STATUS)
