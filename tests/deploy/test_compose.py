"""docker-compose.yml, as far as it can be told without running it: `make compose-test` runs it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.programs import find
from uptimeo.settings import Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
PROVISIONING = ROOT / "deploy/grafana/provisioning"
TEXT = FILE.read_text("utf-8")
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
AGENTS = {
    name: service
    for name, service in SERVICES.items()
    if "DATACENTER_ID" in (service.get("environment") or {})
}
OURS = {name: service for name, service in SERVICES.items() if "UPTIMEO_IMAGE" in service["image"]}
CODES = ("va", "ny", "rdn", "chi", "sf", "lon", "dam", "sto", "syd")


def volumes(service: dict[str, Any]) -> dict[str, str]:
    """The volumes or paths of the host, by where they are in the container."""
    pairs = (volume.split(":") for volume in service.get("volumes", ()))
    return {pair[1]: pair[0] for pair in pairs}


def test_it_is_a_compose_file() -> None:
    command = [sys.executable, "-m", "check_jsonschema"]

    done = subprocess.run(
        [*command, "--builtin-schema", "vendor.compose-spec", str(FILE)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_of_nine_datacenters_has_two_agents() -> None:
    found = [
        (name, service["environment"]["DATACENTER_ID"], service["environment"]["UPTIMEO_INSTANCE"])
        for name, service in AGENTS.items()
    ]

    assert found == [
        (f"{code}-{replica}", str(number), f"{code}-{replica}")
        for number, code in enumerate(CODES, 1)
        for replica in (1, 2)
    ]


def test_each_agent_has_its_own_spool_and_the_login_of_its_datacenter_alone() -> None:
    spools = [volumes(service)["/var/lib/uptimeo"] for service in AGENTS.values()]

    assert len(set(spools)) == len(AGENTS)
    for name, service in AGENTS.items():
        assert volumes(service) == {
            "/run/login": f"login-{name.partition('-')[0]}",
            "/var/lib/uptimeo": f"spool-{name}",
        }


def test_every_volume_is_declared_and_used() -> None:
    used = {
        source
        for service in SERVICES.values()
        for source in volumes(service).values()
        if not source.startswith("./")
    }

    assert used == set(COMPOSE["volumes"])


def test_agents_are_told_only_what_settings_know() -> None:
    known = {field.alias for field in Settings.model_fields.values()}

    for service in AGENTS.values():
        assert set(service["environment"]) <= known


def test_no_secret_stands_in_the_file() -> None:
    for service in SERVICES.values():
        for name, value in (service.get("environment") or {}).items():
            secret = any(word in name for word in ("PASSWORD", "CONN_STRING", "TOKEN", "KEY"))
            assert not secret or (
                name.endswith("_FILE") and str(value).startswith(("/run", "/tmp"))
            )
    assert "postgresql://%s:%s@" in TEXT
    assert TEXT.count("postgresql://") == 1


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_writes_to_its_volumes_alone_and_has_no_rights(name: str) -> None:
    service = OURS[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


def test_root_is_who_gives_files_away_without_a_network() -> None:
    (name,) = (name for name, service in OURS.items() if "user" in service)

    assert name == "secrets"
    assert OURS[name]["cap_add"] == ["CHOWN"]
    assert OURS[name]["network_mode"] == "none"


def test_the_network_of_the_host_sees_no_port() -> None:
    for service in SERVICES.values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_images_of_others_can_be_replaced() -> None:
    others = {service["image"] for name, service in SERVICES.items() if name not in OURS}

    assert {image.partition(":-")[0] for image in others} == {
        "${POSTGRES_IMAGE",
        "${PROMETHEUS_IMAGE",
        "${GRAFANA_IMAGE",
    }
    assert SERVICES["postgres"]["image"] == "${POSTGRES_IMAGE:-postgres:18}"


def test_dashboards_start_only_when_asked_for() -> None:
    asked = {
        name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service
    }

    assert asked.pop("uptimeo") == ["commands"]
    assert set(asked) == {"dashboards-login", "prometheus", "grafana"}
    assert all(profiles == ["dashboards"] for profiles in asked.values())


def test_agents_begin_once_the_schema_is_there() -> None:
    for service in AGENTS.values():
        assert service["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_grafana_is_told_all_that_its_provisioning_asks_for() -> None:
    grafana = SERVICES["grafana"]
    text = "".join(path.read_text("utf-8") for path in PROVISIONING.rglob("*.yml"))
    asked = set(re.findall(r"\$([A-Z][A-Z_]+)", text))
    files = {Path(name) for name in re.findall(r"\$__file\{([^}]+)\}", text)}

    assert asked <= set(grafana["environment"])
    assert {str(file.parent) for file in files} == {"/run/secrets"}
    assert all(f"dashboards/{file.name}" in SERVICES["secrets"]["command"][0] for file in files)
    assert grafana["environment"]["UPTIMEO_DASHBOARDS"] in volumes(grafana)


def test_every_agent_is_scraped_under_its_name() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    (job,) = config["scrape_configs"]
    targets = [target for each in job["static_configs"] for target in each["targets"]]

    assert targets == [f"{name}:9464" for name in AGENTS]


@pytest.mark.skipif(find("promtool") is None, reason="promtool is not installed")
def test_prometheus_accepts_its_configuration() -> None:
    promtool = find("promtool")
    assert promtool is not None

    done = subprocess.run(
        [promtool, "check", "config", str(ROOT / "deploy/prometheus/prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
