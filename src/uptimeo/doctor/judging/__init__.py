"""What do the facts mean? Pure: no clock, no I/O."""

from uptimeo.doctor.facts import Facts, Unreached
from uptimeo.doctor.judging import database, duty, host, upkeep
from uptimeo.domain.finding import Finding

__all__ = ["judged"]


def judged(facts: Facts) -> list[Finding]:
    """Every finding, in the order in which a person would ask.

    Where the database was not reached, nothing is said of what is in it.
    """
    inside = (
        []
        if isinstance(facts.database.link, Unreached)
        else [*duty.findings(facts), *upkeep.findings(facts)]
    )
    return [*database.findings(facts), *inside, *host.findings(facts)]
