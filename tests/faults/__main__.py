"""`python -m tests.faults`: run the faults one after the other and print what came of them."""

import argparse
import asyncio
import importlib
import signal
import sys
from collections.abc import Sequence

from tests.faults.report import Fault, Result, Scale, carry_out, say, show

_MODULES = (
    *("process", "database", "flush", "config"),
    *("network", "clock", "pooler", "isolation", "spool", "poison", "simulation"),
    *("hostile", "forbidden"),
)


def collected() -> list[Fault]:
    """The faults of every module that is there, in the order of their numbers."""
    faults: list[Fault] = []
    for name in _MODULES:
        module = f"tests.faults.faults_{name}"
        try:
            faults += importlib.import_module(module).FAULTS
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            say(f"there is no {module}")
    return sorted(faults, key=lambda fault: int("".join(filter(str.isdigit, fault.id))))


def chosen(only: str | None) -> list[Fault]:
    """The faults with these ids, separated by commas, or all."""
    faults = collected()
    if only is None:
        return faults
    wanted = {part.strip() for part in only.split(",")}
    if unknown := wanted - {fault.id for fault in faults}:
        known = " ".join(fault.id for fault in faults)
        raise SystemExit(f"there is no fault {', '.join(sorted(unknown))}; there are: {known}")
    return [fault for fault in faults if fault.id in wanted]


async def run(faults: Sequence[Fault], scale: Scale, results: list[Result]) -> None:
    """Run them in order. SIGTERM ends everything in order, as Ctrl+C does."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    for fault in faults:
        result = await carry_out(fault, scale)
        results.append(result)  # at once: what is broken off later still shows it


def main() -> int:
    """The exit code is 1 if a fault failed, or the run was broken off."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", metavar="F1,F3", help="these faults, instead of all")
    parser.add_argument("--short", action="store_true", help="a few runs of each")
    given = parser.parse_args()
    faults = chosen(given.only)
    results: list[Result] = []
    whole = True
    try:
        asyncio.run(run(faults, Scale.SHORT if given.short else Scale.FULL, results))
    except (KeyboardInterrupt, asyncio.CancelledError):
        whole = False
        say("broken off")
    show(results)
    return 0 if whole and not any(result.failed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
