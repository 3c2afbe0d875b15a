"""Is the agent alive, and is it ready? Judged from facts alone."""

from dataclasses import dataclass
from typing import Any

from uptimeo.ops.facts import AgentFacts

# A loop that is later than this does no work that anybody waits for.
LATE_S = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer: whether it is a good one, and what it says as JSON."""

    good: bool
    body: dict[str, Any]


def health(facts: AgentFacts) -> Verdict:
    """Alive: every loop runs, and the event loop is on time. If not, only a restart helps."""
    problems = [f"the loop {name} has ended" for name in facts.ended]
    overdue_s = facts.loop.overdue_s
    if overdue_s is not None and overdue_s > LATE_S:
        problems.append(f"the event loop is {overdue_s:.1f} s late")
    return Verdict(not problems, {"alive": not problems, "problems": problems})


def readiness(facts: AgentFacts) -> Verdict:
    """Ready: a leader that checks, or a standby that could take over.

    A leader that goes on without the database does its work: it is ready, and `degraded`.
    """
    problems = [*health(facts).body["problems"], *_hindrances(facts)]
    database_ago_s = facts.database_ago_s
    body = {
        "ready": not problems,
        "degraded": bool(problems) or not facts.reaches_database,
        "role": "leader" if facts.leads else "standby",
        "term": facts.newest_term,
        "checks_may_start": facts.may_check,
        "database": {
            "reached": facts.reaches_database,
            "answered_ago_s": None if database_ago_s is None else round(database_ago_s, 2),
        },
        "spool": {
            "sound": facts.spool_sound,
            "heartbeats": facts.spool.rows,
            "bytes": facts.spool.bytes,
            "dropped": facts.spool.dropped,
        },
        "configuration": {
            "loaded": facts.catalog.changed_at is not None,
            "monitors": facts.catalog.monitors,
            "invalid": facts.catalog.invalid,
        },
        "problems": problems,
    }
    return Verdict(not problems, body)


def _hindrances(facts: AgentFacts) -> list[str]:
    found = []
    if facts.leads and not facts.may_check:
        found.append("it leads, and no check may start at this moment")
    if not facts.leads and not facts.reaches_database:
        found.append("the database does not answer, so it could not take over")
    if not facts.spool_sound:
        found.append("the spool does not take heartbeats")
    if facts.catalog.changed_at is None:
        found.append("no configuration has been read")
    return found
