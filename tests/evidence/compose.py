"""Does `docker-compose.yml` do what it says? The whole of it, really run with podman.

`python -m tests.evidence.compose [--stand-ins] [--build-args ARGS] [--keep]`, as root: builds the
image, starts all services but Grafana, and asks the database. Two agents in each of nine
datacenters, one of them leading; the container of a leader is killed, and its standby has to lead
within 5 s; then no monitor of any datacenter may have had a gap above its interval + 4 s, and the
time that its check takes: one that is in flight when its agent is killed leaves no heartbeat. Last,
a second migration, the rights of the containers, their health, and how they stop. Prints figures;
exits with 1 if one is not as it has to be. Everything is removed again, unless `--keep`.
"""

import argparse
import json
import os
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import psycopg

from tests.evidence import compose_stand_ins
from tests.evidence.compose_project import BrokenRunError, Project

_DATACENTERS = 9
_MONITORS = 13
_LEADS_WITHIN_S = 5.0
_GAP_BEYOND_INTERVAL_S = 4.0
_READY_WITHIN_S = 180.0
_AFTER_S = 75.0
_READER_FILE = "uptimeo_grafana_password"
Connection = psycopg.Connection[tuple[object, ...]]
_LEADERS = "SELECT datacenter, leader FROM leadership WHERE leads_now ORDER BY datacenter"
_PRESENT = "SELECT count(*) FROM agent_instances WHERE last_seen > now() - interval '30 s'"
_SUCCESSOR = """
SELECT leader, extract(epoch FROM started_at)::float8 FROM leadership
WHERE datacenter = %s AND leads_now AND leader <> %s
"""
_GAPS = """
WITH beats AS (
    SELECT h.datacenter_id, h.monitor_id, h.executed_at, s.interval,
           max(h.response_time_ms) OVER (PARTITION BY h.monitor_id) / 1000 AS takes
    FROM api_heartbeats h
    JOIN api_monitors m ON m.id = h.monitor_id JOIN schedules s ON s.id = m.schedule_id
    WHERE h.executed_at > (to_timestamp(%s) AT TIME ZONE 'UTC') - interval '15 s'
), gaps AS (
    SELECT datacenter_id, monitor_id, interval, takes,
           extract(epoch FROM executed_at - lag(executed_at) OVER w) AS gap
    FROM beats WINDOW w AS (PARTITION BY datacenter_id, monitor_id ORDER BY executed_at)
    UNION ALL  -- from the last one until now
    SELECT datacenter_id, monitor_id, interval, takes,
           extract(epoch FROM (clock_timestamp() AT TIME ZONE 'UTC') - max(executed_at))
    FROM beats GROUP BY datacenter_id, monitor_id, interval, takes)
SELECT d.code, count(DISTINCT g.monitor_id), count(gap), max(gap - g.interval - takes)::float8,
       max(gap - g.interval)::float8, (array_agg(m.name ORDER BY gap - g.interval DESC))[1]
FROM gaps g JOIN datacenters d ON d.id = g.datacenter_id JOIN api_monitors m ON m.id = g.monitor_id
WHERE gap IS NOT NULL GROUP BY d.code, d.id ORDER BY d.id
"""
_STATUSES = "SELECT status, count(*) FROM api_heartbeats GROUP BY status ORDER BY count(*) DESC"


@dataclass(slots=True)
class Verdicts:
    """What was found, line by line, and whether all of it is as it has to be."""

    failed: int = 0

    def judge(self, *, good: bool, what: str) -> None:
        """Print one finding."""
        self.failed += not good
        print(f"{'ok    ' if good else 'FAILED'} {what}", flush=True)


def agents(project: Project) -> list[str]:
    """The services that are agents."""
    return [
        name
        for name, service in project.services.items()
        if "DATACENTER_ID" in (service.get("environment") or {})
    ]


def database(project: Project) -> Connection:
    """A connection as the owner of the tables."""
    password = project.inside("postgres", "cat", "/run/owner/password").stdout.strip()
    address = project.container("postgres").address
    conninfo = psycopg.conninfo.make_conninfo(
        host=address, user="uptimeo", dbname="uptimeo", password=password
    )
    return psycopg.connect(conninfo, autocommit=True)


def await_leaders(connection: Connection, agents_wanted: int) -> tuple[dict[str, str], float]:
    """Who leads where, once every agent is there; and the seconds until then."""
    began = time.monotonic()
    while time.monotonic() - began < _READY_WITHIN_S:
        leaders = {str(code): str(name) for code, name in connection.execute(_LEADERS)}
        present = connection.execute(_PRESENT).fetchone()
        if len(leaders) == _DATACENTERS and present == (agents_wanted,):
            return leaders, time.monotonic() - began
        time.sleep(0.5)
    raise BrokenRunError(
        f"within {_READY_WITHIN_S:.0f} s there were {present} agents, leaders {leaders}"
    )


def kill_a_leader(
    project: Project,
    connection: Connection,
    leaders: dict[str, str],
    verdicts: Verdicts,
) -> float:
    """Kill VA's; answers with the moment, by the clock that host and containers share."""
    victim, name = leaders["VA"], project.container(leaders["VA"]).name
    before = time.time()
    project.podman("kill", "--signal", "KILL", name)
    killed = time.time()
    found = None
    while found is None and time.time() < killed + 30:
        found = connection.execute(_SUCCESSOR, ("VA", victim)).fetchone()
        time.sleep(0.02)
    if found is None:
        raise BrokenRunError(f"nobody leads VA 30 s after {victim} was killed")
    successor, began = str(found[0]), float(str(found[1]))
    verdicts.judge(
        good=began - before <= _LEADS_WITHIN_S,
        what=f"{victim} killed; {successor} leads {began - killed:.2f} s after `podman kill` ended,"
        f" {began - before:.2f} s after it was called",
    )
    return before


def judge_gaps(connection: Connection, since: float, verdicts: Verdicts) -> None:
    """Every monitor of every datacenter, from before the kill until now."""
    rows = connection.execute(_GAPS, (since,)).fetchall()
    worst = {str(code): float(str(beyond)) for code, _, _, beyond, *_ in rows}
    watched = {str(code): int(str(monitors)) for code, monitors, *_ in rows}
    raw, whose = max((float(str(beyond)), str(name)) for *_, beyond, name in rows)
    told = ", ".join(f"{code} {beyond:+.1f}" for code, beyond in worst.items())
    verdicts.judge(
        good=len(rows) == _DATACENTERS and max(worst.values()) <= _GAP_BEYOND_INTERVAL_S,
        what="longest gap less the interval and what a check takes, in s:"
        f" {told}; the interval alone taken off: {raw:+.1f} ({whose})",
    )
    verdicts.judge(
        good=set(watched.values()) == {_MONITORS},
        what=f"{sum(int(str(count)) for _, _, count, *_ in rows)} heartbeats of"
        f" {min(watched.values())} monitors in each of {len(rows)} datacenters since then",
    )


def judge_containers(project: Project, names: list[str], verdicts: Verdicts) -> None:
    """No root, nothing to write to, no secret in the environment, healthy."""
    found = {name: project.container(name) for name in names}
    users = {project.inside(name, "id", "-u").stdout.strip() for name in names[:3]}
    verdicts.judge(good=users == {"10001"}, what=f"agents run as user {', '.join(users)}")
    written = [
        path
        for path in ("/written", "/opt/uptimeo/written", "/etc/written", "/run/login/written")
        if project.inside(names[0], "touch", path).returncode == 0
    ]
    verdicts.judge(good=not written, what=f"can be written to: {written or 'nothing'}")
    told = [name for name, each in found.items() if "postgresql://" in str(each.environment)]
    verdicts.judge(good=not told, what="no connection string in the environment of any agent")
    logins = project.inside(names[0], "find", "/run/login", "-type", "f").stdout.split()
    verdicts.judge(good=len(logins) == 1, what=f"{names[0]} has one login: {logins}")
    pinged = project.inside(names[0], "uptimeo", "check", "ping://demo").returncode
    verdicts.judge(good=pinged == 0, what=f"`uptimeo check ping://demo` ends with {pinged}")
    healthy = [name for name in names if project.is_healthy(name)]
    verdicts.judge(good=healthy == names, what=f"{len(healthy)} of {len(names)} agents healthy")


def judge_dashboards(project: Project, connection: Connection, verdicts: Verdicts) -> None:
    """Prometheus scrapes every agent; the dashboards' login may look, and not at everything."""
    if "prometheus" in project.names():
        address, up, deadline = project.container("prometheus").address, 0, time.time() + 60
        while up < 2 * _DATACENTERS and time.time() < deadline:
            time.sleep(2)
            up = scraped(address)
        verdicts.judge(good=up == 2 * _DATACENTERS, what=f"Prometheus has {up} agents with up == 1")
    volume = project.podman("volume", "inspect", f"{project.name}_dashboards")
    password = Path(json.loads(volume)[0]["Mountpoint"], _READER_FILE).read_text().strip()
    info = connection.info
    with psycopg.connect(
        host=info.host, user="grafana", dbname=info.dbname, password=password, autocommit=True
    ) as reader:
        seen = reader.execute("SELECT count(*) > 0 FROM api_heartbeats").fetchone()
        try:
            reader.execute("SELECT url FROM api_monitors")
            refused = False
        except psycopg.errors.InsufficientPrivilege:
            refused = True
    verdicts.judge(
        good=seen == (True,) and refused,
        what="the dashboards' login reads heartbeats, and no URL of a monitor",
    )


def scraped(address: str) -> int:
    """How many targets Prometheus reaches."""
    try:
        with urlopen(f"http://{address}:9090/api/v1/query?query=sum(up)", timeout=5) as answer:
            result = json.load(answer)["data"]["result"]
    except OSError:
        return 0
    return int(result[0]["value"][1]) if result else 0


def judge_stop(project: Project, names: list[str], verdicts: Verdicts) -> None:
    """Each on SIGTERM, with 0."""
    took = []
    for name in names[:4]:
        began = time.monotonic()
        project.podman("stop", "--time", "10", project.container(name).name)
        took.append(time.monotonic() - began)
    project.podman("stop", "--time", "10", *(project.container(name).name for name in names[4:]))
    codes = {name: project.container(name).exit_code for name in names}
    failed = {name: code for name, code in codes.items() if code}
    for name in failed:
        print(f"the log of {name}:\n{project.log(name, 20)}", file=sys.stderr)
    verdicts.judge(
        good=not failed,
        what=f"{len(names)} stopped agents end with 0, except {failed};"
        f" `podman stop` of one took {max(took):.2f} s at most",
    )


def tried(project: Project, services: list[str], verdicts: Verdicts) -> None:
    """From nothing to a stop."""
    began = time.monotonic()
    project.up(services)
    print(f"       all services started within {time.monotonic() - began:.0f} s", flush=True)
    names = agents(project)
    connection = database(project)
    leaders, waited = await_leaders(connection, len(names))
    verdicts.judge(
        good=len(names) == 2 * _DATACENTERS,
        what=f"{len(names)} agents, {len(leaders)} leaders {waited:.0f} s later: {leaders}",
    )
    time.sleep(20)  # every monitor has had its turn
    killed_at = kill_a_leader(project, connection, leaders, verdicts)
    time.sleep(_AFTER_S)
    judge_gaps(connection, killed_at, verdicts)
    project.podman("start", project.container(leaders["VA"]).name)
    leaders, waited = await_leaders(connection, len(names))
    print(f"       {len(names)} agents again {waited:.0f} s after the killed one was started")
    migrated = project.podman("start", "--attach", project.container("migrate").name)
    again = project.container("migrate").exit_code == 0 and "up to date" in migrated
    verdicts.judge(good=again, what="a second migration finds everything up to date")
    listed = project.said("monitor", "list").count("demo: ")
    verdicts.judge(good=listed == _MONITORS, what=f"`uptimeo monitor list` lists {listed} monitors")
    judge_containers(project, names, verdicts)
    judge_dashboards(project, connection, verdicts)
    statuses = {row[0]: row[1] for row in connection.execute(_STATUSES)}
    busy = connection.execute("SELECT count(*) FROM pg_stat_activity").fetchone()
    print(f"       heartbeats by status: {statuses}; {busy} sessions of the server")
    connection.close()
    judge_stop(project, names, verdicts)


def main() -> None:
    """Run it, and clean up whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", default="uptimeo-acceptance", help="the name of the project")
    parser.add_argument("--stand-ins", action="store_true", help="build on local images")
    parser.add_argument("--build-args", default="", help="what else `podman build` is told")
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    given = parser.parse_args()
    variables = {"UPTIMEO_IMAGE": f"localhost/{given.project}"}
    if given.stand_ins:
        if not compose_stand_ins.are_here():
            sys.exit("--stand-ins: there is no localhost/python-base or localhost/postgres-base")
        variables |= compose_stand_ins.built(given.build_args)
    project = Project(given.project, variables, given.build_args, ["dashboards", "commands"])
    unavailable = {"grafana"}
    if given.stand_ins and "PROMETHEUS_IMAGE" not in variables:
        unavailable.add("prometheus")
    print(f"       left out: {', '.join(sorted(unavailable))}; load {os.getloadavg()}", flush=True)
    verdicts = Verdicts()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is removed
    try:
        print(f"       image built in {project.build():.0f} s", flush=True)
        wanted = [
            name
            for name, service in project.services.items()
            if name not in unavailable and "commands" not in service.get("profiles", ())
        ]
        tried(project, wanted, verdicts)
    except Exception:  # noqa: BLE001 - told, and everything is removed all the same
        traceback.print_exc()
        verdicts.judge(good=False, what="the run was broken off")
    finally:
        if not given.keep:
            project.down()
            left = [*project.names(), *project.volumes()]
            verdicts.judge(good=not left, what=f"`down --volumes` left {left or 'nothing'}")
    print(f"       load {os.getloadavg()}")
    sys.exit(1 if verdicts.failed else 0)


if __name__ == "__main__":
    main()
