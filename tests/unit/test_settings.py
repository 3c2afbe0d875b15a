"""Does a wrong setting end in one line that says which, what, and what else?"""

from pathlib import Path

import pytest

from tests.support.builders import environment
from uptimeo.domain.errors import FatalError
from uptimeo.domain.text import REDACTED
from uptimeo.settings import Settings, default_data_dir, read_settings

DEFAULTS = {
    "datacenter_id": 1,
    "db_conn_string": "postgresql://uptimeo@db.example/uptimeo",
    "data_dir": Path("/srv/uptimeo"),
    "instance": "agent-1",
    "log_level": "INFO",
    "log_heartbeats": "all",
    "offline": "continue",
    "max_checks": 500,
    "max_checks_per_host": 100,
    "forbidden_networks": "default",
    "exec_file": None,
    "db_conn_string_file": None,
    "secrets_dir": None,
    "key_file": None,
    "row_variables": {},
    "config_poll_s": 30.0,
    "offline_limit_s": 86_400.0,
    "spool_max_bytes": 2_147_483_648,
    "reference_targets": "",
    "lease_ttl_s": 3.0,
    "peer_listen": "auto",
    "ops_listen": "off",
    "probe_file": None,
    "calibrate_every_s": 900.0,
}


def refusal(**changes: str | None) -> str:
    """The one line that says what is wrong."""
    with pytest.raises(FatalError) as caught:
        read_settings(environment(**changes))
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_two_variables_are_enough() -> None:
    assert read_settings(environment()).model_dump() == DEFAULTS


def test_every_variable_is_read() -> None:
    given = environment(
        DATACENTER_ID="3",
        DB_CONN_STRING="host=db.example user=ann",
        UPTIMEO_DATA_DIR="/tmp/x",
        UPTIMEO_INSTANCE="b",
        LOG_LEVEL="warning",
        LOG_HEARTBEATS="changes",
        UPTIMEO_OFFLINE="strict",
        UPTIMEO_MAX_CHECKS="50",
        UPTIMEO_MAX_CHECKS_PER_HOST="5",
        UPTIMEO_FORBIDDEN_NETWORKS="default, 10.0.0.0/8",
        UPTIMEO_EXEC_FILE="/etc/uptimeo/exec.toml",
        UPTIMEO_SECRETS_DIR="/run/secrets",
        UPTIMEO_KEY_FILE="/etc/uptimeo/keys",
        UPTIMEO_SECRET_TOKEN="hunter2",
        UPTIMEO_CONFIG_POLL_S="0.5",
        UPTIMEO_OFFLINE_LIMIT_S="3600",
        UPTIMEO_SPOOL_MAX_BYTES="5000000",
        UPTIMEO_REFERENCE_TARGETS="192.0.2.1:53, [2001:db8::1]:443",
        UPTIMEO_LEASE_TTL_S="3.5",
        UPTIMEO_PEER_LISTEN="0.0.0.0:7946",
        UPTIMEO_OPS_LISTEN="127.0.0.1:9464",
        UPTIMEO_PROBE_FILE="/etc/uptimeo/probe.toml",
        UPTIMEO_CALIBRATE_EVERY_S="60",
    )

    assert read_settings(given).model_dump() == {
        "datacenter_id": 3,
        "db_conn_string": "host=db.example user=ann",
        "data_dir": Path("/tmp/x"),
        "instance": "b",
        "log_level": "WARNING",
        "log_heartbeats": "changes",
        "offline": "strict",
        "max_checks": 50,
        "max_checks_per_host": 5,
        "forbidden_networks": "default, 10.0.0.0/8",
        "exec_file": Path("/etc/uptimeo/exec.toml"),
        "db_conn_string_file": None,
        "secrets_dir": Path("/run/secrets"),
        "key_file": Path("/etc/uptimeo/keys"),
        "row_variables": {"UPTIMEO_SECRET_TOKEN": "hunter2"},
        "config_poll_s": 0.5,
        "offline_limit_s": 3600.0,
        "spool_max_bytes": 5_000_000,
        "reference_targets": "192.0.2.1:53, [2001:db8::1]:443",
        "lease_ttl_s": 3.5,
        "peer_listen": "0.0.0.0:7946",
        "ops_listen": "127.0.0.1:9464",
        "probe_file": Path("/etc/uptimeo/probe.toml"),
        "calibrate_every_s": 60.0,
    }


@pytest.mark.parametrize(
    ("variable", "value", "shown", "expectation"),
    [
        ("DATACENTER_ID", "VA", "'VA'", "input should be a valid integer"),
        ("DATACENTER_ID", "0", "'0'", "input should be greater than or equal to 1"),
        ("DATACENTER_ID", "1\n2", r"'1\n2'", "input should be a valid integer"),
        ("DB_CONN_STRING", "db.example", "'db.example'", "must be a libpq URI such as postgresql:"),
        ("UPTIMEO_INSTANCE", "x" * 51, "'xxx", "string should have at most 50 characters"),
        ("LOG_LEVEL", "loud", "'LOUD'", "input should be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or"),
        ("LOG_HEARTBEATS", "some", "'some'", "input should be 'all', 'changes' or 'none'"),
        ("UPTIMEO_OFFLINE", "stop", "'stop'", "input should be 'continue' or 'strict'"),
        ("UPTIMEO_MAX_CHECKS_PER_HOST", "0", "'0'", "input should be greater than or equal to 1"),
        (
            "UPTIMEO_FORBIDDEN_NETWORKS",
            "all",
            "'all'",
            "'all' is neither a network such as 10.0.0.0/8",
        ),
        ("UPTIMEO_MAX_CHECKS", "0", "'0'", "input should be greater than or equal to 1"),
        ("UPTIMEO_MAX_CHECKS", "10001", "'10001'", "input should be less than or equal to 10000"),
        ("UPTIMEO_CONFIG_POLL_S", "0", "'0'", "input should be greater than or equal to 0.2"),
        ("UPTIMEO_CONFIG_POLL_S", "nan", "'nan'", "input should be"),
        ("UPTIMEO_LEASE_TTL_S", "inf", "'inf'", "input should be less than or equal to 60"),
        ("UPTIMEO_LEASE_TTL_S", "2.9", "'2.9'", "input should be greater than or equal to 3"),
        ("UPTIMEO_LEASE_TTL_S", "soon", "'soon'", "input should be a valid number"),
    ],
)
def test_a_wrong_value_is_named_shown_and_set_right(
    variable: str, value: str, shown: str, expectation: str
) -> None:
    line = refusal(**{variable: value})

    assert line.startswith(f"{variable}: {shown}")
    assert f"is wrong: {expectation}" in line


@pytest.mark.parametrize(
    ("variable", "expectation"),
    [
        ("DATACENTER_ID", "expected: the datacenter to run for: its id"),
        ("DB_CONN_STRING", "expected: PostgreSQL 17 or newer, as a libpq URI"),
    ],
)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_what_is_missing_or_empty_is_named_and_described(
    variable: str, expectation: str, value: str | None
) -> None:
    assert refusal(**{variable: value}) == f"{variable} is not set; {expectation}"


@pytest.mark.parametrize(
    "value", ["ann:hunter2@db.example:5432/uptimeo", "mysql://ann:hunter2@db.example/uptimeo"]
)
def test_the_password_of_a_wrong_connection_string_is_masked(value: str) -> None:
    line = refusal(DB_CONN_STRING=value)

    assert "hunter2" not in line
    assert REDACTED in line


def test_empty_optional_variables_count_as_not_set() -> None:
    empty = {"LOG_LEVEL": "", "UPTIMEO_OFFLINE": " ", "UPTIMEO_MAX_CHECKS": ""}

    assert read_settings(environment(**empty)).model_dump() == DEFAULTS


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = read_settings(environment())

    with pytest.raises(ValueError, match="frozen"):
        settings.max_checks = 1


def test_every_setting_has_a_variable_and_a_description() -> None:
    fields = Settings.model_fields.values()

    assert all(field.alias and field.alias.isupper() and field.description for field in fields)


def test_an_instance_without_a_name_is_called_after_its_host() -> None:
    assert read_settings(environment(UPTIMEO_INSTANCE=None)).instance


def test_the_data_directory_may_begin_at_home() -> None:
    settings = read_settings(environment(UPTIMEO_DATA_DIR="~/uptimeo"))

    assert settings.data_dir == Path.home() / "uptimeo"


def test_a_relative_data_directory_is_fixed_at_the_start() -> None:
    settings = read_settings(environment(UPTIMEO_DATA_DIR="spool"))

    assert settings.data_dir == Path.cwd() / "spool"


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_a_data_directory_systemd_s_is_taken(value: str | None) -> None:
    given = environment(UPTIMEO_DATA_DIR=value, STATE_DIRECTORY="/var/lib/a:/var/lib/b")

    assert read_settings(given).data_dir == Path("/var/lib/a")


def test_without_any_data_directory_there_is_one_of_the_system() -> None:
    assert default_data_dir({"XDG_DATA_HOME": "/data"}).name == "uptimeo"


def test_the_home_of_a_user_who_does_not_exist_is_refused() -> None:
    line = refusal(UPTIMEO_DATA_DIR="~no-such-user/spool")

    assert line.startswith("UPTIMEO_DATA_DIR: '~no-such-user/spool' needs a home directory")
    assert line.endswith("expected: an absolute path")


@pytest.mark.parametrize(
    ("given", "facing", "where"),
    [
        ("auto", "192.0.2.7", ("192.0.2.7", 0)),
        ("auto", None, None),
        ("off", "192.0.2.7", None),
        ("192.0.2.8:7946", "192.0.2.7", ("192.0.2.8", 7946)),
        ("[2001:db8::1]:7946", None, ("2001:db8::1", 7946)),
    ],
)
def test_other_agents_ask_where_the_operator_says_or_where_the_database_is_reached(
    given: str, facing: str | None, where: tuple[str, int] | None
) -> None:
    settings = read_settings(environment(UPTIMEO_PEER_LISTEN=given))

    assert settings.peer_address(facing) == where


@pytest.mark.parametrize("given", ["7946", "host", "host:0", "host:70000", "a:1,b:2"])
def test_an_address_for_other_agents_that_is_none_is_refused(given: str) -> None:
    assert refusal(UPTIMEO_PEER_LISTEN=given).startswith("UPTIMEO_PEER_LISTEN: ")


def test_the_connection_string_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("postgresql://ann:hunter2@db.example/uptimeo\n")

    settings = read_settings(
        environment(DB_CONN_STRING=None, DB_CONN_STRING_FILE=str(tmp_path / "db"))
    )

    assert settings.db_conn_string == "postgresql://ann:hunter2@db.example/uptimeo"
    assert settings.database_variable == "DB_CONN_STRING_FILE"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty; expected: a libpq URI"),
        (b"\xff\xfe", "cannot be read: it is not text in UTF-8"),
        (b"hunter2", "is wrong"),
    ],
)
def test_a_file_without_a_connection_string_is_named_and_not_repeated(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / "db").write_bytes(content)

    line = refusal(DB_CONN_STRING=None, DB_CONN_STRING_FILE=str(tmp_path / "db"))

    assert line.startswith("DB_CONN_STRING_FILE: ")
    assert why in line
    assert "hunter2" not in line


def test_string_and_file_exclude_each_other(tmp_path: Path) -> None:
    line = refusal(DB_CONN_STRING_FILE=str(tmp_path / "db"))

    assert line == "DB_CONN_STRING and DB_CONN_STRING_FILE are both set: unset one"


def test_only_the_variables_for_rows_reach_rows() -> None:
    reader = read_settings(environment(UPTIMEO_SECRET_A="a-value")).values()

    assert reader.environment == {"UPTIMEO_SECRET_A": "a-value"}
    assert "a-value" not in repr(reader)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("off", None),
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:0", ("::1", 0)),
    ],
)
def test_scrapers_ask_where_the_operator_says_and_else_nowhere(
    given: str, where: tuple[str, int] | None
) -> None:
    assert read_settings(environment(UPTIMEO_OPS_LISTEN=given)).ops_address() == where


@pytest.mark.parametrize("given", ["9464", ":9464", "host:", "host:70000", "on"])
def test_an_address_for_scrapers_that_is_none_is_refused(given: str) -> None:
    assert refusal(UPTIMEO_OPS_LISTEN=given).startswith("UPTIMEO_OPS_LISTEN: ")
