"""Is the bill of materials valid, whole, and the same each time?"""

import json
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.release.bill import bill, faults
from tests.release.conftest import EPOCH
from tests.release.locks import RUNTIME, read
from tests.release.project import VERSION, requirements


@pytest.fixture(scope="module")
def text() -> str:
    return bill(EPOCH)


@pytest.fixture
def told(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def hashes(component: dict[str, Any]) -> frozenset[str]:
    given = [each for reference in component["externalReferences"] for each in reference["hashes"]]
    return frozenset(f"{each['alg']}:{each['content']}".replace("SHA-", "sha") for each in given)


def test_it_is_valid_by_the_schema_of_cyclonedx(text: str) -> None:
    assert faults(text) == []
    assert faults('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": 1}') != []


def test_it_names_each_locked_package_with_its_version_and_hashes(told: dict[str, Any]) -> None:
    named = {each["name"]: (each["version"], hashes(each)) for each in told["components"]}

    assert named == {each.name: (each.version, each.hashes) for each in read(RUNTIME).values()}


def test_it_is_the_bill_of_this_version_and_its_own_dependencies(told: dict[str, Any]) -> None:
    ours = told["metadata"]["component"]
    names = {each["bom-ref"]: each["name"] for each in told["components"]}
    (graph,) = told["dependencies"]

    assert (ours["name"], ours["version"]) == ("uptimeo", VERSION)
    assert graph["ref"] == ours["bom-ref"]
    assert {names[each] for each in graph["dependsOn"]} == {
        canonicalize_name(each.name) for each in requirements()
    }


def test_it_is_the_same_each_time(text: str) -> None:
    assert bill(EPOCH) == text
