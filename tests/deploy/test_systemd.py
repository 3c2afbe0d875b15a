"""Are the units what systemd takes, hardened as promised, and of settings that exist?"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.builders import environment
from uptimeo.catalog.values import ENV_PREFIX
from uptimeo.receiver.settings import ADDRESS, URL, read_receiver_settings
from uptimeo.settings import Settings, read_settings

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
LASTING = ["uptimeo-agent@.service", "uptimeo-receive.service"]
# Of 10.0: what is left is that a program which connects to everything has a network.
MOST_EXPOSED = 1.1
BY_THE_UNIT = {"DATACENTER_ID", "DB_CONN_STRING", "DB_CONN_STRING_FILE", "UPTIMEO_DATA_DIR"}


def directives(path: Path) -> list[tuple[str, str]]:
    """Every assignment of the section [Service], in order."""
    _, _, section = path.read_text("utf-8").partition("[Service]\n")
    lines = section.partition("\n[")[0].splitlines()
    return [(name, value) for name, _, value in (each.partition("=") for each in lines) if value]


def service(name: str) -> dict[str, str]:
    return dict(directives(UNITS / name))


def example(name: str, *, commented: bool) -> Mapping[str, str]:
    """The variables of an example: those in force, or those that say a default."""
    pattern = rf"^{'#' if commented else ''}([A-Z_]+)=(.*)$"
    return dict(re.findall(pattern, (UNITS / name).read_text("utf-8"), re.MULTILINE))


def analysed(*arguments: str, where: Path) -> "subprocess.CompletedProcess[str]":
    """What `systemd-analyze` says of the units, with the command where it is here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for path in UNITS.glob("*.service"):
        text = path.read_text("utf-8").replace("/opt/uptimeo/bin", str(Path(sys.executable).parent))
        (where / path.name).write_text(text)
    return subprocess.run(
        ["systemd-analyze", *arguments], cwd=where, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_finds_nothing_wrong_with_a_unit(name: str, tmp_path: Path) -> None:
    done = analysed("verify", "--man=no", f"./{name.replace('@', '@1')}", where=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_may_do_little_else_than_connect(name: str, tmp_path: Path) -> None:
    if not re.search("offline", analysed("--help", where=tmp_path).stdout):
        pytest.skip("systemd-analyze is older than 250, which rates files")

    done = analysed("security", "--offline=yes", "--no-pager", f"./{name}", where=tmp_path)

    found = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED, done.stdout


def test_the_units_differ_in_no_bound() -> None:
    bounds = []
    for name in SERVICES:
        every = directives(UNITS / name)
        bounds.append(every[every.index(("DynamicUser", "yes")) :])

    assert len(SERVICES) == 3
    assert bounds[0] == bounds[1] == bounds[2]


@pytest.mark.parametrize("name", LASTING)
def test_a_service_is_watched_and_restarted_unless_a_person_has_to_act(name: str) -> None:
    unit = service(name)

    assert unit["Type"] == "notify"
    assert int(unit["WatchdogSec"]) >= 10
    assert (unit["Restart"], unit["RestartPreventExitStatus"]) == ("on-failure", "2")
    text = (UNITS / name).read_text("utf-8")
    assert "StartLimitIntervalSec=0" in text
    assert "After=network-online.target multi-user.target" in text


def test_only_the_drop_in_for_raw_pings_gives_a_capability() -> None:
    given = {
        path.name: [value for name, value in directives(path) if name.endswith("Capabilities")]
        for path in (UNITS / "drop-ins").glob("*.conf")
    }

    assert given == {"raw-ping.conf": ["CAP_NET_RAW"], "key-file.conf": []}
    assert all("CapabilityBoundingSet=\n" in (UNITS / n).read_text("utf-8") for n in SERVICES)


def test_the_example_of_an_agents_settings_has_every_one_with_its_default() -> None:
    shown = example("agent.env", commented=True)
    known = {str(field.alias) for field in Settings.model_fields.values()}
    known = {name for name in known if not name.startswith(ENV_PREFIX)} | {f"{ENV_PREFIX}NAME"}
    unset = read_settings(environment()).model_dump()

    assert shown.keys() == known
    tried = environment(**{name: shown[name] for name in known - BY_THE_UNIT if shown[name]})
    assert read_settings(tried).model_dump() == unset


def test_what_the_examples_set_is_accepted() -> None:
    in_force = example("agent.env", commented=False)

    settings = read_settings(environment(**in_force))

    assert in_force.keys() <= example("agent.env", commented=True).keys()
    assert settings.ops_address() == ("127.0.0.1", 9464)
    assert example("receive.env", commented=False) == {}
    shown = example("receive.env", commented=True)
    assert shown.keys() == {ADDRESS, URL}
    assert read_receiver_settings(shown) == read_receiver_settings({})


@pytest.mark.parametrize("name", [*SERVICES, "drop-ins/key-file.conf"])
def test_a_unit_sets_only_what_is_read(name: str) -> None:
    known = {str(field.alias) for field in Settings.model_fields.values()} | {"PYTHONFAULTHANDLER"}
    set_there = [value for key, value in directives(UNITS / name) if key == "Environment"]

    assert {each.partition("=")[0] for each in set_there} <= known
    assert any("%d/" in each for each in set_there)
