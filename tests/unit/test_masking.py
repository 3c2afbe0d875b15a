"""Is a secret hidden wherever a row may have it, and is the rest left as it is?"""

from typing import Any

import pytest

from uptimeo.cli.masking import masked_url, masked_value


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("https://ann:hunter2@a.example/?page=2", "https://a.example/?page=2"),
        ("postgresql://ann:hunter2@db.example/app", "postgresql://db.example/app"),
        ("https://a.example/?token=hunter2&page=2", "https://a.example/?token=[redacted]&page=2"),
        ("see http://u:hunter2@a.example", "see http://a.example"),
    ],
)
def test_a_url_is_shown_without_its_credentials(text: str, seen: str) -> None:
    assert masked_url(text) == seen
    assert masked_value({"anything": [text]}) == {"anything": [seen]}


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (
            "SELECT 1 FROM dblink('host=db password=hunter2 dbname=app', 'x')",
            "SELECT 1 FROM dblink('host=db password=[redacted] dbname=app', 'x')",
        ),
        ("ALTER ROLE ann PASSWORD 'hunter''2'", "ALTER ROLE ann PASSWORD [redacted]"),
        ("SELECT login('ann', passwd => 'hunter2')", "SELECT login('ann', passwd => [redacted])"),
        ("user=ann&password=hunter2&a=b", "user=ann&password=[redacted]&a=b"),
        ('{"api_key": "hunter 2", "a": 1}', '{"api_key": [redacted], "a": 1}'),
        ("<Password>hunter2</Password>", "<Password>[redacted]</Password>"),
        ("Authorization: Bearer hunter2", "Authorization: Bearer [redacted]"),
        ("client_secret: hunter2", "client_secret: [redacted]"),
    ],
)
def test_a_text_is_shown_without_what_it_names_a_secret(text: str, seen: str) -> None:
    assert masked_value(text, "query") == seen


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM tokens WHERE age > 5",
        "Password: ",
        "the secret of life",
        "https://id.example/token",
    ],
)
def test_a_text_without_a_secret_is_left_as_it_is(text: str) -> None:
    assert masked_value(text, "query") == text


def test_what_a_step_sends_is_not_shown() -> None:
    steps: list[dict[str, Any]] = [
        {"expect": "login: "},
        {"send": "hunter2\r\n"},
        {"send_base64": "aHVudGVyMg=="},
        {"expect_regex": "welcome"},
    ]

    assert masked_value({"steps": steps})["steps"] == [
        {"expect": "login: "},
        {"send": "[redacted] (9 characters)"},
        {"send_base64": "[redacted] (12 characters)"},
        {"expect_regex": "welcome"},
    ]


def test_names_tell_secrets_and_what_only_sounds_like_one() -> None:
    given = {"pwd": "x", "password": "x", "token_url": "https://id.example", "token_sha256": "ab"}

    assert masked_value(given) == given | {"pwd": "[redacted]", "password": "[redacted]"}
