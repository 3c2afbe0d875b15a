"""Are the manifests valid, hardened, and of settings and ports that exist?"""

from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.manifests import (
    OVERLAYS,
    RENDERED,
    ROOT,
    Object,
    containers,
    of_kind,
    pod,
    rendered,
    settings_of,
    workload,
)
from tests.support.builders import environment
from uptimeo.receiver.settings import ADDRESS, URL, read_receiver_settings
from uptimeo.settings import Settings, read_settings

AGENTS = [f"overlays/{name}" for name in OVERLAYS]
LASTING = [*AGENTS, "receiver"]
# The oldest release that has all of it for good, and the newest that the package knows.
KUBERNETES = ("1.31", kubernetes_validate.latest_version().rpartition(".")[0])
NAME = "app.kubernetes.io/name"


def selects(selector: Object, labels: Object) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def labels(name: str) -> Object:
    """Those of its pods."""
    found: Object = workload(name)["spec"]["template"]["metadata"]["labels"]
    return found


@pytest.mark.parametrize("release", KUBERNETES)
@pytest.mark.parametrize("name", RENDERED)
def test_every_object_is_valid_strictly(name: str, release: str) -> None:
    for each in rendered(name):
        kubernetes_validate.validate(each, release, strict=True)


def test_a_wrong_field_would_be_found() -> None:
    (budget,) = [each for each in rendered("receiver") if each["kind"] == "PodDisruptionBudget"]
    wrong = {**budget, "spec": {**budget["spec"], "minAvailabel": 1}}

    with pytest.raises(kubernetes_validate.ValidationError, match="minAvailabel"):
        kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)


@pytest.mark.parametrize("name", RENDERED)
def test_every_container_may_do_as_little_as_possible(name: str) -> None:
    assert pod(name)["securityContext"].items() >= {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }.items()  # fmt: skip
    assert pod(name)["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(name).keys()
    for container in containers(name):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}


@pytest.mark.parametrize("name", RENDERED)
def test_secrets_are_files_that_only_the_group_of_the_pod_may_read(name: str) -> None:
    volumes = {each["name"]: each for each in pod(name)["volumes"]}
    (container,) = containers(name)
    paths = [each["mountPath"] for each in container["volumeMounts"] if each.get("readOnly")]

    secrets = [each["secret"] for each in volumes.values() if "secret" in each]
    assert secrets
    assert all(each["defaultMode"] == 0o400 for each in secrets)
    assert not any("secretKeyRef" in str(each) for each in container.get("env", []))
    for variable in ("DB_CONN_STRING_FILE", "UPTIMEO_KEY_FILE"):
        if file := settings_of(name).get(variable):
            assert file.rpartition("/")[0] in paths
    assert "DB_CONN_STRING" not in settings_of(name)


@pytest.mark.parametrize("name", AGENTS)
def test_the_settings_of_an_agent_exist_and_are_accepted(name: str) -> None:
    given = settings_of(name)
    known = {str(field.alias) for field in Settings.model_fields.values()}

    settings = read_settings(environment(**given | {"DB_CONN_STRING_FILE": ""}))

    assert given.keys() <= known
    assert given["UPTIMEO_INSTANCE"] == "metadata.name"
    assert settings.ops_address() == ("0.0.0.0", 9464)
    assert settings.peer_address("10.0.0.1") == ("0.0.0.0", 9465)


def test_each_overlay_is_another_datacenter_in_a_namespace_of_its_own() -> None:
    ids = [settings_of(name)["DATACENTER_ID"] for name in AGENTS]
    spaces = [
        {each["metadata"].get("namespace", each["metadata"]["name"]) for each in rendered(name)}
        for name in AGENTS
    ]

    assert len(AGENTS) >= 2
    assert len(set(ids)) == len(ids)
    assert spaces == [{f"uptimeo-{name}"} for name in OVERLAYS]
    for name in AGENTS:
        assert labels(name)["uptimeo/datacenter"] == name.rpartition("/")[2].upper()
        standard = of_kind(name, "Namespace")["metadata"]["labels"]
        assert standard["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", LASTING)
def test_a_node_is_drained_of_what_is_not_ready_too(name: str) -> None:
    budget = of_kind(name, "PodDisruptionBudget")["spec"]

    assert budget["minAvailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize("name", AGENTS)
def test_two_agents_stand_apart_with_a_disk_each(name: str) -> None:
    spec, agents = workload(name)["spec"], pod(name)
    (term,) = agents["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    (container,) = containers(name)
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}

    assert (workload(name)["kind"], spec["replicas"]) == ("StatefulSet", 2)
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert selects(term["labelSelector"]["matchLabels"], labels(name))
    (spread,) = agents["topologySpreadConstraints"]
    assert selects(spread["labelSelector"]["matchLabels"], labels(name))
    (claim,) = spec["volumeClaimTemplates"]
    assert settings_of(name)["UPTIMEO_DATA_DIR"].startswith(mounted[claim["metadata"]["name"]])
    assert spec["serviceName"] == of_kind(name, "Service")["metadata"]["name"]
    assert agents["terminationGracePeriodSeconds"] > 2
    assert agents["securityContext"]["sysctls"] == [
        {"name": "net.ipv4.ping_group_range", "value": "10001 10001"}
    ]


@pytest.mark.parametrize("name", LASTING)
def test_what_selects_pods_selects_these(name: str) -> None:
    budget = of_kind(name, "PodDisruptionBudget")["spec"]
    policy = of_kind(name, "NetworkPolicy")["spec"]

    assert budget["minAvailable"] == 1
    assert selects(budget["selector"]["matchLabels"], labels(name))
    assert selects(policy["podSelector"]["matchLabels"], labels(name))
    assert selects(of_kind(name, "Service")["spec"]["selector"], labels(name))
    assert policy["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("name", LASTING)
def test_ports_that_are_named_are_ports_of_the_container(name: str) -> None:
    (container,) = containers(name)
    named = {(each["name"], each.get("protocol", "TCP")) for each in container["ports"]}
    probes: list[Any] = [container[each] for each in container if each.endswith("Probe")]
    rules = of_kind(name, "NetworkPolicy")["spec"]["ingress"]
    allowed = {(port["port"], port["protocol"]) for rule in rules for port in rule["ports"]}

    assert {(each["httpGet"]["port"], "TCP") for each in probes} <= named
    assert {(each["targetPort"], "TCP") for each in of_kind(name, "Service")["spec"]["ports"]} <= (
        named
    )
    assert allowed == named
    assert all(rule["from"] for rule in rules)


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_is_asked_where_it_answers(name: str) -> None:
    (container,) = containers(name)
    asked = {each: container[each]["httpGet"]["path"] for each in container if "Probe" in each}
    notes = workload(name)["spec"]["template"]["metadata"]["annotations"]

    assert asked == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert settings_of(name)["UPTIMEO_OPS_LISTEN"].endswith(f":{ports['ops']}")
    assert settings_of(name)["UPTIMEO_PEER_LISTEN"].endswith(f":{ports['peers']}")
    assert notes["prometheus.io/port"] == str(ports["ops"])


def test_a_receiver_takes_signals_on_its_port() -> None:
    given = settings_of("receiver")
    (container,) = containers("receiver")

    assert given.keys() <= {ADDRESS, URL, "DB_CONN_STRING_FILE"}
    (port,) = container["ports"]
    assert read_receiver_settings(given).port == port["containerPort"]


def test_a_migration_that_a_person_has_to_mend_is_not_tried_again() -> None:
    spec = workload("migrate")["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]

    assert workload("migrate")["kind"] == "Job"
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [2]
    assert rule["onExitCodes"]["containerName"] == next(containers("migrate"))["name"]
    assert pod("migrate")["restartPolicy"] == "Never"


def test_each_login_is_another_secret() -> None:
    found = {
        name: [each["secret"]["secretName"] for each in pod(name)["volumes"] if "secret" in each]
        for name in RENDERED
    }

    assert found == {
        "overlays/lon": ["uptimeo-agent", "uptimeo-keys"],
        "overlays/va": ["uptimeo-agent"],
        "receiver": ["uptimeo-receiver"],
        "migrate": ["uptimeo-owner"],
    }


def test_every_kustomization_names_the_same_image() -> None:
    images = {container["image"] for name in RENDERED for container in containers(name)}

    assert len(images) == 1
    for path in ROOT.rglob("kustomization.yaml"):
        assert yaml.safe_load(path.read_text("utf-8"))["kind"] in {"Kustomization", "Component"}
