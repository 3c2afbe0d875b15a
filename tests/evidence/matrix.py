"""What do our checks make of servers nobody here wrote? One row for each check.

Starts each program that is installed on loopback ports, with its files in a directory that is
removed afterwards. Prints what was expected and what came, and exits with 1 if they differ. A
program that is not there is skipped, and said to be. `python -m tests.evidence.matrix nginx`
takes only the programs with that in their names.

To add a program: a `Program` in a module like `matrix_mail`, and that module's PROGRAMS below.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.evidence import (
    matrix_dns,
    matrix_http3,
    matrix_httpbin,
    matrix_mail,
    matrix_services,
    matrix_starttls,
    matrix_web,
)
from tests.evidence.matrix_rows import Expected, Program, resolved
from tests.support.programs import Place
from tests.support.zoo import Zoo
from uptimeo.domain.errors import FatalError
from uptimeo.domain.result import ProbeResult
from uptimeo.probes.base import ProbeContext
from uptimeo.probes.registry import ProbeRegistry

_PROGRAMS = (
    *matrix_web.PROGRAMS,
    *matrix_http3.PROGRAMS,
    *matrix_httpbin.PROGRAMS,
    *matrix_mail.PROGRAMS,
    *matrix_starttls.PROGRAMS,
    *matrix_dns.PROGRAMS,
    *matrix_services.PROGRAMS,
)
_TIMEOUT_MS = 3000


def main(wanted: Sequence[str]) -> int:
    """Run the matrix; the exit code is its verdict."""
    zoo = Zoo.new()
    wrong = skipped = checked = 0
    for program in _PROGRAMS:
        if wanted and not any(each.lower() in program.name.lower() for each in wanted):
            continue
        path = program.find()
        if path is None:
            print(f"\n{program.name}: skipped: {program.name} is not installed ({program.package})")
            skipped += 1
            continue
        print(f"\n{program.name}")
        right = _run(program, path, zoo)
        checked += len(program.checks)
        wrong += len(program.checks) - right
    print(f"\n{checked - wrong} of {checked} checks as expected, {skipped} programs skipped")
    return 1 if wrong or not checked else 0


def _run(program: Program, path: str, zoo: Zoo) -> int:
    """How many checks came out as expected."""
    with tempfile.TemporaryDirectory(prefix="uptimeo-matrix-", ignore_cleanup_errors=True) as name:
        place = Place(directory=Path(name), zoo=zoo)
        place.directory.chmod(0o755)
        try:
            with program.start(path, place):
                return asyncio.run(_check_all(program, place))
        except (OSError, RuntimeError, AssertionError, FatalError) as error:
            print(f"  did not start: {error}\n{place.said()}")
            return 0


async def _check_all(program: Program, place: Place) -> int:
    registry = ProbeRegistry.installed()
    try:
        return sum([await _check(each, place, registry) for each in program.checks])
    finally:
        await registry.aclose()


async def _check(expected: Expected, place: Place, registry: ProbeRegistry) -> bool:
    url = expected.url.format(**place.ports)
    probe = registry.get(url.partition("://")[0])
    assert probe is not None, f"there is no probe type for {url}"
    given = {"url": url} | resolved(dict(expected.options), place)
    options = probe.options.model_validate(given)
    result = await probe.probe(options, ProbeContext(timeout_ms=_TIMEOUT_MS))
    came = result.failure.type if result.failure else None
    _print(expected, result, right=came is expected.error)
    return came is expected.error


def _print(expected: Expected, result: ProbeResult, *, right: bool) -> None:
    kind = expected.url.partition("://")[0]
    wanted = expected.error.value if expected.error else "up"
    came = result.failure.type.value if result.failure else "up"
    took = f"{result.total_ms:8.2f} ms" if result.total_ms is not None else " " * 11
    mark = "ok   " if right else "WRONG"
    print(f"  {mark} {kind:10} {expected.says:58} {wanted:31} {came:31} {took}")
    if not right and result.failure is not None:
        print(f"        {result.failure.message}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
