"""Does `uptimeo probe-types` tell what a monitor may say?"""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from uptimeo.cli.probe_types import probe_types
from uptimeo.probes.registry import ProbeRegistry

NAMES = ProbeRegistry.installed().names()


def said(*arguments: str) -> str:
    result = CliRunner(env={"COLUMNS": "80", "FORCE_COLOR": None}).invoke(probe_types, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def listed(*arguments: str) -> Any:
    return json.loads(said(*arguments, "--json"))


def test_every_installed_type_is_listed_with_its_package() -> None:
    found = {each["type"]: each["package"].partition(" ")[0] for each in listed()}

    assert list(found) == NAMES
    assert set(found.values()) == {"uptimeo"}


def test_a_type_has_a_json_schema_and_its_columns() -> None:
    (http,) = listed("HTTP")
    properties = http["schema"]["properties"]

    assert http["columns"] == ["url", "method", "headers", "body"]
    assert http["schema"]["required"] == ["url"]
    assert properties["max_redirects"]["maximum"] == 10


def test_the_overview_has_every_type_with_options_and_defaults() -> None:
    overview = said()

    assert "http, https" in overview
    assert "url*, method=GET" in overview
    assert "max_redirects=10" in overview


@pytest.mark.parametrize("arguments", [(), *((name,) for name in NAMES)], ids=str)
def test_everything_fits_80_columns_and_names_no_python(arguments: tuple[str, ...]) -> None:
    text = said(*arguments)

    assert max(map(len, text.splitlines())) <= 80
    assert not [word for word in ("Literal", "Annotated", "<function", "Union[") if word in text]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("http", "  url                 text, required, a column"),
        ("http", '  http_version        "1.1", "2" or "3"'),
        ("http", "  compressed          true, false, gzip, deflate or br, by default false"),
        ("http", "  headers             texts by name, by default {}, a column"),
        ("http", '  assertions: {"kind": "header"}'),
        ("http", "    password            secret text, required"),
        ("https", '    versions            list of "1.0", "1.1", "2" or "3", required'),
        ("dns", "  min_serial          integer, 0 to 4294967295"),
        ("dns", "  matches             pattern"),
        ("ping", "  max_loss_percent    number, 0 to below 100, by default 50"),
        ("tcp", "  steps               list of objects, at most 20, by default []"),
    ],
)
def test_a_type_is_said_in_words(name: str, line: str) -> None:
    assert line in said(name).splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_means(name: str) -> None:
    (found,) = listed(name)
    objects = (
        [found["schema"], *found["schema"]["$defs"].values()]
        if "$defs" in found["schema"]
        else [found["schema"]]
    )
    silent = [
        option
        for each in objects
        for option, field in each.get("properties", {}).items()
        if "description" not in field and "const" not in field
    ]

    assert silent == []


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    result = CliRunner().invoke(probe_types, ["gopher"])

    assert result.exit_code == 2
    assert "there are: " in result.output
