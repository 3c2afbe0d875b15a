"""What does a heartbeat cost in PostgreSQL, and how fast are the answers?

Runs the named measurements, all of them or those that are named, each on a database of its own in
a PostgreSQL with the settings that it has by default; prints each figure with its limit and exits
with 1 if one is missed.  --monitors, --hours and --rounds make it longer or shorter.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping

from tests.evidence import database_batches, database_ingest, database_storage
from tests.evidence.database_figures import Measurement, Scale
from tests.support import postgres

MEASUREMENTS: Mapping[str, Measurement] = {
    "storage": database_storage.measure,
    "ingest": database_ingest.measure,
    "batches": database_batches.measure,
}


def _measured(conninfo: str, name: str, scale: Scale) -> bool:
    """Print the figures of one; whether all are within their limits."""
    print(f"{name}", flush=True)
    figures = asyncio.run(MEASUREMENTS[name](conninfo, scale))
    for figure in figures:
        print(figure.line())
    print(flush=True)
    return all(figure.good for figure in figures)


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = ", ".join(MEASUREMENTS)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"which: {names}; default: all")
    parser.add_argument("--monitors", type=int, default=100, help="in each of three datacenters")
    parser.add_argument("--hours", type=float, default=24, help="of heartbeats, at most 24")
    parser.add_argument("--rounds", type=int, default=3, help="of what is repeated")
    given = parser.parse_args()
    if unknown := set(given.only) - set(MEASUREMENTS):
        parser.error(f"no measurement is named {', '.join(sorted(unknown))}: there are {names}")
    scale = Scale(monitors=given.monitors, hours=given.hours, rounds=given.rounds)
    good = []
    with postgres.server(options=()) as maintenance, postgres.template(maintenance) as template:
        for name in given.only or MEASUREMENTS:
            with postgres.database(maintenance, template) as conninfo:
                good.append(_measured(conninfo, name, scale))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
