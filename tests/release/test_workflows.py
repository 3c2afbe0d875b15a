"""Do the workflows run what is run here, on what is promised, with no needless rights?"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.release.project import ROOT, python_range, pythons

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
CHECK = (Path(sys.executable).with_name("check-jsonschema"), "--quiet", "--builtin-schema")
# What may write, or speak for the project, is named here.
RIGHTS = {
    ("release", "publish"): {"id-token": "write", "attestations": "write", "contents": "read"},
    ("release", "announce"): {"contents": "write"},
    ("release", "image"): {
        "contents": "read",
        "packages": "write",
        "id-token": "write",
        "attestations": "write",
    },
}


def workflow(name: str) -> dict[str, Any]:
    # As text throughout: YAML would take the key `on` for true.
    found: dict[str, Any] = yaml.load(
        (FOLDER / f"{name}.yml").read_text("utf-8"), Loader=yaml.BaseLoader
    )
    return found


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path in FILES:
        for name, job in workflow(path.stem)["jobs"].items():
            yield path.stem, name, job


def steps(job: dict[str, Any]) -> str:
    """All that a job runs, as one text."""
    return "\n".join(step.get("run", step.get("uses", "")) for step in job["steps"])


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("vendor.github-workflows", FILES),
        ("vendor.dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ],
    ids=["workflows", "dependabot"],
)
def test_the_files_are_valid_by_their_schemas(schema: str, paths: list[Path]) -> None:
    done = subprocess.run([*CHECK, schema, *paths], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_there_are_the_two_workflows() -> None:
    assert [path.stem for path in FILES] == ["ci", "release"]


def test_the_suite_runs_on_each_python_that_is_promised_with_both_postgresqls() -> None:
    matrix = workflow("ci")["jobs"]["run"]["strategy"]["matrix"]

    assert matrix == {"python": pythons(), "postgresql": ["17", "18"]}


def test_what_is_promised_begins_where_an_installation_is_allowed() -> None:
    minors = [int(version.removeprefix("3.")) for version in pythons()]

    assert str(python_range()) == f">={pythons()[0]}"
    assert minors == list(range(minors[0], minors[0] + len(minors)))


def test_ci_runs_the_very_script_that_is_run_here() -> None:
    last = workflow("ci")["jobs"]["run"]["steps"][-1]

    assert last == {"run": ".ci/run"}
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_every_action_is_pinned_to_a_commit_and_says_of_which_version() -> None:
    texts = [path.read_text("utf-8") for path in FILES]
    used = [line.strip() for text in texts for line in text.splitlines() if "uses: " in line]
    foreign = [line for line in used if "uses: ./" not in line]
    pinned = re.compile(r"(?:- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")

    assert len(foreign) > 5
    assert [line for line in foreign if not pinned.fullmatch(line)] == []


def test_a_job_has_no_more_rights_than_are_named_here() -> None:
    assert [workflow(path.stem)["permissions"] for path in FILES] == [{"contents": "read"}] * 2
    assert {
        (file, name): job["permissions"] for file, name, job in jobs() if "permissions" in job
    } == RIGHTS


def test_every_job_ends_at_some_time() -> None:
    assert [
        (file, name)
        for file, name, job in jobs()
        if "uses" not in job and "timeout-minutes" not in job
    ] == []


def test_no_secret_is_kept_and_nothing_from_outside_is_put_into_a_script() -> None:
    texts = "\n".join(path.read_text("utf-8") for path in FILES)
    scripts = "\n".join(steps(job) for _, _, job in jobs() if "steps" in job)

    assert "secrets." not in texts
    assert "${{" not in scripts


def test_what_is_published_was_tested_and_is_what_was_built_once() -> None:
    release = workflow("release")
    found = release["jobs"]

    assert release["on"] == {"push": {"tags": ["v*"]}}
    assert found["test"]["uses"] == "./.github/workflows/ci.yml"
    assert set(found["publish"]["needs"]) == set(found["image"]["needs"]) == {"test", "build"}
    assert 'tests.release.stated "$TAG"' in steps(found["build"])
    assert "make dist sbom release-test" in steps(found["build"])
    assert "checkout" not in steps(found["publish"])
    assert [name for name, job in found.items() if "environment" in job] == ["publish", "image"]
