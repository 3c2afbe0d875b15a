"""Does `uptimeo probe-types` tell what a monitor may say?"""

import json
from typing import Any

from click.testing import CliRunner

from uptimeo.cli.probe_types import probe_types


def listed(*arguments: str) -> Any:
    result = CliRunner().invoke(probe_types, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_every_installed_type_is_listed_with_its_package() -> None:
    found = {each["type"]: each["package"].partition(" ")[0] for each in listed()}

    assert {"http", "https"} <= found.keys()
    assert set(found.values()) == {"uptimeo"}


def test_an_option_comes_with_column_type_and_default() -> None:
    (http,) = listed("HTTP")
    options = {each["name"]: each for each in http["options"]}

    assert options["url"]["required"]
    assert options["method"]["column"] == "method"
    assert options["max_redirects"]["default"] == 10
    assert (options["ca_pem"]["column"], options["ca_pem"]["type"]) == ("options", "str | None")


def test_the_table_names_the_options() -> None:
    said = CliRunner().invoke(probe_types, ["https"]).output

    assert "https" in said
    assert "follow_redirects" in said


def test_an_unknown_type_is_refused_with_the_known_ones() -> None:
    result = CliRunner().invoke(probe_types, ["gopher"])

    assert result.exit_code == 2
    assert "there are: " in result.output
