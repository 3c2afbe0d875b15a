"""What is found when everything is examined? Facts first, all at once, then judgement."""

import asyncio

from uptimeo.doctor import access, host
from uptimeo.doctor.facts import Facts, Setup
from uptimeo.doctor.judging import judged
from uptimeo.domain.finding import Finding


async def examine(setup: Setup) -> list[Finding]:
    """Every finding, within some 15 s whatever hangs; raises nothing for what is found broken."""
    answers = asyncio.create_task(access.gather(setup), name="database")
    here = None if setup.settings is None else await host.gather(setup.settings)
    return judged(Facts(setup=setup, database=await answers, host=here))
