"""Which monitors are refused before anything is sent?"""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.support.certificates import Authority
from uptimeo.probes.http import HttpOptions

URL = "http://target.example/"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "target.example",
        "/path",
        "ftp://target.example/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://:80/",
        "http://target.example:0/",
        "http://target.example:99999/",
        "http://target.example:port/",
        "http://two words.example/",
        "http://target.example/a b",
        "http://target.example/\r\nX-Injected: 1",
        "http://target.example/\x00",
        "http://[::1/",
        "http://target.example/" + "x" * 2000,
    ],
)
def test_what_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        HttpOptions(url=url)


@pytest.mark.parametrize(
    "url",
    [
        "http://target.example",
        "HTTPS://Target.Example:8443/path?query#fragment",
        "http://user:word@target.example/",
        "http://[::1]:8080/",
        "http://127.0.0.1/",
    ],
)
def test_http_urls_are_accepted_as_they_are_written(url: str) -> None:
    assert HttpOptions(url=url).url == url


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": ""},
        {"method": "GET /"},
        {"method": "GET\r\n"},
        {"headers": {"X-A": "1\r\nX-Injected: 1"}},
        {"headers": {"X-A": "1\n"}},
        {"headers": {"X-A": "\x00"}},
        {"headers": {"X A": "1"}},
        {"headers": {"X-A:": "1"}},
        {"headers": {"X-A\n": "1"}},
        {"headers": {"": "1"}},
        {"headers": {"X-A": None}},
        {"headers": ["X-A: 1"]},
        {"expected_status": ""},
        {"expected_status": "2xx"},
        {"expected_status": "99"},
        {"expected_status": "200,"},
        {"expected_status": "600"},
        {"max_redirects": -1},
        {"max_redirects": 11},
        {"max_body_bytes": -1},
        {"max_body_bytes": 1 << 30},
        {"verify_tls": "perhaps"},
        {"ca_pem": ""},
        {"ca_pem": "-----BEGIN NONSENSE-----"},
        {"ca_pem": "é"},
        {"method": "HEAD", "body": {}},
        {"follow_redirect": True},
    ],
    ids=repr,
)
def test_a_wrong_option_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpOptions(url=URL, **wrong)


def test_a_refusal_does_not_repeat_the_input() -> None:
    with pytest.raises(ValidationError) as refusal:
        HttpOptions(url=URL, headers={"Authorization": "s3cret\n"})

    assert "s3cret" not in str(refusal.value)
    assert "Authorization" in str(refusal.value)


def test_the_method_is_sent_in_capitals() -> None:
    assert HttpOptions(url=URL, method="post").method == "POST"


def test_a_ca_in_pem_format_is_accepted() -> None:
    pem = Authority.new().pem + Authority.new().pem

    assert HttpOptions(url=URL, ca_pem=pem).ca_pem == pem


def test_the_target_is_shown_without_user_and_password() -> None:
    options = HttpOptions(url="https://user:word@target.example:8443/path?query=1")

    assert options.target == "https://target.example:8443/path?query=1"


def test_equal_options_are_equal() -> None:
    assert HttpOptions(url=URL, headers={"A": "1"}) == HttpOptions(url=URL, headers={"A": "1"})
