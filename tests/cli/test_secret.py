"""Are secrets saved, used and shown as people mean them, and never told?"""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import Result

from tests.cli.test_check import Site, serve
from tests.support.commands import ran, said, said_json
from uptimeo.cli.check import check
from uptimeo.cli.monitor import monitor
from uptimeo.cli.secret import secret

VALUE = "correct-horse/battery"
ANYWHERE = {"UPTIMEO_FORBIDDEN_NETWORKS": "none"}


@pytest.fixture
def site() -> Iterator[Site]:
    yield from serve()


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """The variable for a key file that has one key."""
    variables = {"UPTIMEO_KEY_FILE": str(tmp_path / "keys")}
    said(secret, "keygen", **variables)
    return variables


def saved(value: str, *arguments: str, dsn: str, **environment: str) -> Result:
    """What `set` said to that value on stdin."""
    return ran(secret, "set", *arguments, dsn=dsn, stdin=value, **environment)


def test_a_sealed_secret_reaches_the_target_and_nobody_else(
    conninfo: str, site: Site, keys: dict[str, str]
) -> None:
    assert saved(f"{VALUE}\n", "api", dsn=conninfo, **keys).exit_code == 0
    header = ("-H", "X-Api-Key: {{secret:api}}", "-o", "auth.kind=bearer")
    said(
        monitor, "add", f"{site.url}/503", *header, "-o", "auth.token={{secret:api}}", dsn=conninfo
    )

    outputs = [
        ran(check, "--from-monitor", "1", *form, dsn=conninfo, **ANYWHERE, **keys)
        for form in ((), ("--json",))
    ]
    outputs.append(ran(monitor, "show", "1", dsn=conninfo))

    assert {seen.headers["x-api-key"] for seen in site.seen} == {VALUE}
    assert {seen.headers["authorization"] for seen in site.seen} == {f"Bearer {VALUE}"}
    assert [output.exit_code for output in outputs] == [1, 1, 0]
    assert not any(VALUE in output.output for output in outputs)
    found = said_json(monitor, "show", "1", dsn=conninfo)
    assert found["request"]["headers"]["X-Api-Key"] == "{{secret:api}}"
    assert found["options"]["auth"]["token"] == "{{secret:api}}"
    assert found["invalid"] is None


def test_without_the_key_the_monitor_is_not_checked_and_the_reference_is_named(
    conninfo: str, site: Site, keys: dict[str, str]
) -> None:
    saved(VALUE, "api", dsn=conninfo, **keys)
    said(monitor, "add", f"{site.url}/", "-H", "X-A: {{secret:api}}", dsn=conninfo)

    result = ran(check, "--from-monitor", "1", dsn=conninfo, **ANYWHERE)

    assert "headers: {{secret:api}} cannot be opened: UPTIMEO_KEY_FILE" in str(result.exception)
    assert site.seen == []


def test_a_command_line_may_refer_to_variables_and_files(site: Site, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(VALUE)
    environment = {"UPTIMEO_SECRETS_DIR": str(tmp_path), "UPTIMEO_SECRET_BODY": "of-the-body"}

    result = ran(
        check,
        f"{site.url}/503",
        *("-H", "X-Token: {{file:token}}", "-d", "{{env:UPTIMEO_SECRET_BODY}}"),
        **environment,
    )

    assert (site.seen[0].headers["x-token"], site.seen[0].body) == (VALUE, b"of-the-body")
    assert VALUE not in result.output
    assert "of-the-body" not in result.output


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("{{env:DB_CONN_STRING}}", "is not for rows: only UPTIMEO_SECRET_... is"),
        ("{{env:UPTIMEO_SECRET_X}}", "is not set for the agent"),
        ("{{file:../x}}", "cannot be read: UPTIMEO_SECRETS_DIR is not set"),
        ("{{secret:api}}", "is in a database: see --from-monitor"),
    ],
)
def test_a_reference_on_the_command_line_that_leads_nowhere_is_refused(
    site: Site, reference: str, why: str
) -> None:
    result = ran(check, f"{site.url}/", "-H", f"X-A: {reference}")

    assert f"{reference} {why}" in " ".join(result.output.split())
    assert site.seen == []


def test_what_only_an_agent_can_tell_is_saved(conninfo: str) -> None:
    given = ("-o", "ca_pem={{file:ca.pem}}", "-o", "max_redirects={{env:UPTIMEO_SECRET_N}}")

    said(monitor, "add", "https://{{env:UPTIMEO_SECRET_HOST}}/", *given, dsn=conninfo)

    found = said_json(monitor, "show", "1", dsn=conninfo)
    assert found["target"] == "https://{{env:UPTIMEO_SECRET_HOST}}/"
    assert found["options"] == {
        "ca_pem": "{{file:ca.pem}}",
        "max_redirects": "{{env:UPTIMEO_SECRET_N}}",
    }


def test_what_is_wrong_whatever_a_reference_stands_for_is_refused(conninfo: str) -> None:
    given = ("-H", "X-A: {{secret:api}}", "-o", "max_redirects=11")

    result = ran(monitor, "add", "https://shop.example/", *given, dsn=conninfo)

    assert result.exit_code != 0
    assert "max_redirects" in result.stderr


def test_a_list_has_names_and_no_values(conninfo: str, keys: dict[str, str]) -> None:
    saved(VALUE, "api", dsn=conninfo, **keys)
    saved(VALUE, "api", "--datacenter", "NY", dsn=conninfo, **keys)

    text = said(secret, "list", dsn=conninfo)

    assert [line.partition(":")[0] for line in text.splitlines()] == ["api", "api for NY"]
    assert VALUE not in text


def test_rotation_leaves_the_values_and_needs_the_old_key_no_more(
    conninfo: str, keys: dict[str, str], site: Site
) -> None:
    saved(VALUE, "api", dsn=conninfo, **keys)
    said(monitor, "add", f"{site.url}/", "-H", "X-A: {{secret:api}}", dsn=conninfo)
    said(secret, "keygen", **keys)
    assert "sealed 1 secrets" in said(secret, "rotate", dsn=conninfo, **keys)
    assert "sealed 0 secrets" in said(secret, "rotate", dsn=conninfo, **keys)
    path = Path(keys["UPTIMEO_KEY_FILE"])
    path.write_text(path.read_text().splitlines()[-1])

    said(check, "--from-monitor", "1", dsn=conninfo, **ANYWHERE, **keys)

    assert site.seen[0].headers["x-a"] == VALUE


def test_rotation_without_the_old_key_changes_nothing(conninfo: str, keys: dict[str, str]) -> None:
    saved(VALUE, "api", dsn=conninfo, **keys)
    Path(keys["UPTIMEO_KEY_FILE"]).unlink()
    said(secret, "keygen", **keys)

    result = ran(secret, "rotate", dsn=conninfo, **keys)

    assert "the secret api is sealed with the key" in str(result.exception)
    assert "nothing was changed" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "value", "why"),
    [
        (["a b"], VALUE, "NAME has up to 100"),
        (["api"], "12345\n", "has fewer than 6 characters"),
        (["api", "--datacenter", "XX"], VALUE, "there is no datacenter 'XX'"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused(
    conninfo: str, keys: dict[str, str], arguments: list[str], value: str, why: str
) -> None:
    result = saved(value, *arguments, dsn=conninfo, **keys)

    assert result.exit_code != 0
    assert why in result.output + str(result.exception)
    with psycopg.connect(conninfo) as connection:
        assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (0,)


def test_a_removed_secret_is_gone(conninfo: str, keys: dict[str, str]) -> None:
    saved(VALUE, "api", dsn=conninfo, **keys)

    said(secret, "rm", "api", dsn=conninfo)

    assert "there is no secret api" in str(ran(secret, "rm", "api", dsn=conninfo).exception)
    assert said(secret, "list", dsn=conninfo).startswith("no secrets yet")


def test_the_database_may_be_named_by_a_file(conninfo: str, tmp_path: Path) -> None:
    (tmp_path / "db").write_text(f"{conninfo}\n")
    file = {"DB_CONN_STRING_FILE": str(tmp_path / "db")}

    assert said(secret, "list", **file).startswith("no secrets yet")
    both = str(ran(secret, "list", dsn=conninfo, **file).exception)
    assert both == "DB_CONN_STRING and DB_CONN_STRING_FILE are both set: unset one"


def test_a_key_file_is_made_for_its_owner_alone(keys: dict[str, str]) -> None:
    assert Path(keys["UPTIMEO_KEY_FILE"]).stat().st_mode & 0o777 == 0o600
