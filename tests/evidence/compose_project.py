"""How is a compose file started with podman, watched, and taken away again?

podman-compose leaves conditions of `depends_on` to podman, and podman runs health checks by timers
of systemd. Neither is taken for granted here: services start in the order that the file asks for,
one step after the other, and health checks are run by hand.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.programs import environment

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
_PATIENCE_S = 180.0
_BUILD_S = 1200.0
_SERVICE = "com.docker.compose.service"
_DONE, _HEALTHY = "service_completed_successfully", "service_healthy"


class BrokenRunError(Exception):
    """Something did not come out as it had to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One as it is now."""

    name: str
    running: bool
    exit_code: int
    address: str
    environment: Sequence[str]
    user: str


class Project:
    """The services of docker-compose.yml under a project name of ours."""

    def __init__(
        self, name: str, variables: Mapping[str, str], build_arguments: str, profiles: Sequence[str]
    ) -> None:
        self.name = name
        self.services: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))["services"]
        # A health check is no part of OCI images, which podman builds unless told otherwise.
        self._environment = {**os.environ, "BUILDAH_FORMAT": "docker", **variables}
        self._compose = [
            *_podman_compose(),
            *("--project-name", name, "--file", str(FILE)),
            *(f"--podman-build-args={build_arguments}",),
            *(option for profile in profiles for option in ("--profile", profile)),
        ]

    def build(self) -> float:
        """Build our image; answers with the seconds that it took."""
        began = time.monotonic()
        self._run([*self._compose, "build", "migrate"], _BUILD_S)
        return time.monotonic() - began

    def up(self, wanted: Sequence[str]) -> None:
        """Start these and what they depend on, each once what it depends on is as it has to be."""
        for batch in _batches(self.services, wanted):
            for service in batch:
                self._await_dependencies(service)
            self._run([*self._compose, "up", "-d", "--no-build", "--no-deps", *batch], _BUILD_S)

    def down(self) -> None:
        """Stop all and remove it, with its volumes."""
        self._run([*self._compose, "down", "--volumes", "--timeout", "10"], _BUILD_S)

    def said(self, *arguments: str) -> str:
        """What a command of ours prints in a container of its own."""
        return self._run(
            [*self._compose, "run", "--rm", "-T", "--no-deps", "uptimeo", *arguments], 120
        )

    def names(self) -> dict[str, str]:
        """The names of the containers that there are, by service."""
        label = f"label=io.podman.compose.project={self.name}"
        found = json.loads(self.podman("ps", "-a", "--filter", label, "--format", "json") or "[]")
        return {each["Labels"][_SERVICE]: each["Names"][0] for each in found}

    def volumes(self) -> list[str]:
        """The names of the volumes that there are."""
        return self.podman("volume", "ls", "-q", "--filter", f"name={self.name}_").split()

    def container(self, service: str) -> Container:
        """How that of the service is. Raises BrokenRunError if there is none."""
        if (name := self.names().get(service)) is None:
            raise BrokenRunError(f"there is no container of {service}")
        (found,) = json.loads(self.podman("inspect", "--type", "container", name))
        networks = found["NetworkSettings"].get("Networks") or {}
        return Container(
            name=name,
            running=found["State"]["Running"],
            exit_code=found["State"]["ExitCode"],
            address=next((network["IPAddress"] for network in networks.values()), ""),
            environment=found["Config"]["Env"],
            user=found["Config"]["User"],
        )

    def is_healthy(self, service: str) -> bool:
        """Run its health check once."""
        command = ["podman", "healthcheck", "run", self.container(service).name]
        return self._call(command, 60).returncode == 0

    def inside(self, service: str, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command in its container."""
        return self._call(["podman", "exec", self.container(service).name, *command], 60)

    def podman(self, *arguments: str, timeout_s: float = 120) -> str:
        """What podman prints. Raises BrokenRunError with what it complained about."""
        return self._run(["podman", *arguments], timeout_s)

    def log(self, service: str, lines: int) -> str:
        """The last lines of a container, on either stream."""
        name = self.container(service).name
        done = self._call(["podman", "logs", "--tail", str(lines), name], 60)
        return (done.stdout + done.stderr)[-4000:]

    def _await_dependencies(self, service: str) -> None:
        for name, wanted in self.services[service].get("depends_on", {}).items():
            deadline = time.monotonic() + _PATIENCE_S
            while not self._is(name, wanted["condition"]):
                if time.monotonic() > deadline:
                    raise BrokenRunError(
                        f"{service} waits for {name} in vain: {self.log(name, 20)}"
                    )
                time.sleep(0.5)

    def _is(self, service: str, condition: str) -> bool:
        if condition == _HEALTHY:
            return self.is_healthy(service)
        found = self.container(service)
        if condition != _DONE or found.running:
            return condition != _DONE
        if found.exit_code != 0:
            raise BrokenRunError(f"{service} ended with {found.exit_code}: {self.log(service, 20)}")
        return True

    def _run(self, command: Sequence[str], timeout_s: float) -> str:
        done = self._call(command, timeout_s)
        if done.returncode != 0:
            raise BrokenRunError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def _call(self, command: Sequence[str], timeout_s: float) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            env=self._environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )


def _batches(services: Mapping[str, Any], wanted: Sequence[str]) -> Iterator[list[str]]:
    """Those, and all that they depend on, in an order in which nobody waits for a later one."""
    missing: set[str] = set()
    ahead = list(wanted)
    while ahead:
        if (name := ahead.pop()) not in missing:
            missing.add(name)
            ahead.extend(services[name].get("depends_on", {}))
    while missing:
        batch = [
            name
            for name in services
            if name in missing and not missing & set(services[name].get("depends_on", {}))
        ]
        yield batch
        missing -= set(batch)


def _podman_compose() -> list[str]:
    if found := shutil.which("podman-compose"):
        return [found]
    if python := environment("podman-compose"):
        return [python, "-m", "podman_compose"]
    sys.exit("podman-compose is not installed, and cannot be: put it on the PATH")
