"""What is a release made of? A bill of materials in CycloneDX, from `requirements.lock`.

As a command: writes `dist/uptimeo-VERSION.cdx.json`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from tests.release.build import DIST, epoch_of_commit
from tests.release.locks import RUNTIME
from tests.release.project import ROOT, VERSION, requirements

_READ = (sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "requirements")
_HOW = ("--spec-version=1.6", "--mc-type=application", "--output-reproducible", "--no-validate")


def bill(epoch: str) -> str:
    """The bill as JSON, the same for the same lock file; `epoch` is the time in it."""
    said = subprocess.run(
        [*_READ, *_HOW, f"--pyproject={ROOT / 'pyproject.toml'}", str(RUNTIME)],
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return json.dumps(_completed(json.loads(said)), indent=2) + "\n"


def faults(text: str) -> list[str]:
    """What is wrong with a bill by the schema of CycloneDX."""
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text, all_errors=True)
    return [str(each) for each in found or ()]


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    """With what the tool cannot know: our version, and which components are our own choice."""
    for component in found["components"]:
        # It has the line of the lock file with all hashes, which stand beside it anyway.
        component["description"] = " ".join(component["description"].split(" --hash")[0].split())
    root = found["metadata"]["component"]
    root |= {"version": VERSION, "purl": f"pkg:pypi/uptimeo@{VERSION}"}
    reference = {each["name"]: each["bom-ref"] for each in found["components"]}
    direct = {reference[canonicalize_name(each.name)] for each in requirements()}
    # A component without an entry has dependencies that are not told; one with an empty entry
    # has none.
    found["dependencies"] = [{"ref": root["bom-ref"], "dependsOn": sorted(direct)}]
    return found


def main() -> None:
    text = bill(epoch_of_commit())
    if wrong := faults(text):
        sys.exit("\n".join(wrong))
    path = DIST / f"uptimeo-{VERSION}.cdx.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


if __name__ == "__main__":
    main()
