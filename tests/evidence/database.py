"""What does a heartbeat cost in PostgreSQL, and how fast are the answers?

Runs the named measurements, all of them or those that are named, each on a database of its own in
a PostgreSQL with the settings that it has by default; prints each figure with its limit and exits
with 1 if one is missed. The options make it longer or shorter.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping

from tests.evidence import (
    database_adoption,
    database_answers,
    database_batches,
    database_ingest,
    database_partitions,
    database_plans,
    database_rollups,
    database_storage,
)
from tests.evidence.database_figures import Measurement, Scale
from tests.support import postgres

MEASUREMENTS: Mapping[str, Measurement] = {
    "storage": Measurement(run=database_storage.measure),
    "ingest": Measurement(run=database_ingest.measure),
    "batches": Measurement(run=database_batches.measure),
    "rollups": Measurement(run=database_rollups.measure),
    "plans": Measurement(run=database_plans.measure, migrated=False),
    "answers": Measurement(run=database_answers.measure, monitors=1000),
    "partitions": Measurement(run=database_partitions.measure),
    "adoption": Measurement(run=database_adoption.measure, migrated=False),
}
_DEFAULT = Scale()


def _measured(conninfo: str, name: str, scale: Scale) -> bool:
    """Print the figures of one; whether all are within their limits."""
    print(f"{name}", flush=True)
    figures = asyncio.run(MEASUREMENTS[name].run(conninfo, scale))
    for figure in figures:
        print(figure.line())
    print(flush=True)
    return all(figure.good for figure in figures)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names = ", ".join(MEASUREMENTS)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"which: {names}; default: all")
    parser.add_argument(
        "--monitors", type=int, help="in each of three datacenters; default: what is judged"
    )
    parser.add_argument(
        "--hours", type=float, default=_DEFAULT.hours, help="of heartbeats, at most 24 (storage)"
    )
    parser.add_argument(
        "--days", type=int, default=_DEFAULT.days, help="of heartbeats, at least 2 (answers)"
    )
    parser.add_argument(
        "--rounds", type=int, default=_DEFAULT.rounds, help="of what is repeated (ingest)"
    )
    parser.add_argument(
        "--report-s", type=float, default=_DEFAULT.report_s, help="of a report (partitions)"
    )
    parser.add_argument(
        "--rows", type=int, default=_DEFAULT.rows, help="of an older installation (adoption)"
    )
    parser.add_argument(
        "--kills", type=int, default=_DEFAULT.kills, help="of what adopts it (adoption)"
    )
    given = parser.parse_args()
    if unknown := set(given.only) - set(MEASUREMENTS):
        parser.error(f"no measurement is named {', '.join(sorted(unknown))}: there are {names}")
    if given.days < 2:
        parser.error(f"--days is {given.days}: the roller needs the whole of yesterday, at least 2")
    return given


def _scale(given: argparse.Namespace, measurement: Measurement) -> Scale:
    return Scale(
        monitors=given.monitors or measurement.monitors,
        hours=given.hours,
        days=given.days,
        rounds=given.rounds,
        report_s=given.report_s,
        rows=given.rows,
        kills=given.kills,
    )


def main() -> int:
    """Measure, print and judge."""
    given = _arguments()
    good = []
    with postgres.server(options=()) as maintenance, postgres.template(maintenance) as template:
        for name in given.only or MEASUREMENTS:
            measurement = MEASUREMENTS[name]
            copied = template if measurement.migrated else None
            with postgres.database(maintenance, copied) as conninfo:
                good.append(_measured(conninfo, name, _scale(given, measurement)))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
