"""Where are assertions judged, so that a large body or a slow pattern stops no other check?"""

import asyncio
from collections.abc import Sequence

from uptimeo.probes.answers.assertions import Assertion, AssertionResult, Subject, judge_assertions


async def judge(assertions: Sequence[Assertion], subject: Subject) -> tuple[AssertionResult, ...]:
    """What came of each assertion, in order; those that read the body are judged in a thread."""
    if any(assertion.reads_body for assertion in assertions):
        return await asyncio.to_thread(judge_assertions, assertions, subject)
    return judge_assertions(assertions, subject)
