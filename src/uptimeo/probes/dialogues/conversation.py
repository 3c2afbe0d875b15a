"""How does one check over a connection go, whatever is said on it?

Connect, talk, judge what was asserted. What the target showed (its certificate, its banner) goes
into the facts when it differs from the last check, and always with a failure.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from uptimeo.probes.answers.families import by_families
from uptimeo.probes.answers.steady import SteadyFacts
from uptimeo.probes.base import (
    AssertionResult,
    Failure,
    Family,
    ProbeContext,
    ProbeResult,
    Stream,
    Subject,
    TargetError,
    Timeline,
    TlsFacts,
    assertion_failure,
    judge,
    open_stream,
)
from uptimeo.probes.dialogues.dialogue import take_all
from uptimeo.probes.dialogues.starttls import Starttls, dialogue
from uptimeo.probes.network.stream_options import StreamOptions

STARTTLS_PHASE = "starttls"


@dataclass(slots=True, kw_only=True)
class Conversation:
    """What one check has, and what it has seen so far: `shown` are facts by name."""

    options: StreamOptions
    stream: Stream
    context: ProbeContext
    timeline: Timeline
    shown: dict[str, Any] = field(default_factory=dict)
    judged: list[AssertionResult] = field(default_factory=list)

    async def secure(self, starttls: Starttls | None = None) -> None:
        """Begin TLS if the options have any, after what that protocol says before it."""
        tls = self.options.spoken_tls()
        if tls is None:
            return
        if starttls is not None:
            name = tls.server_name or self.options.host
            with self.timeline.phase(STARTTLS_PHASE):
                await take_all(dialogue(starttls, name), self.stream, self.context)
        await self.stream.start_tls(tls)


Talk = Callable[[Conversation], Awaitable[None]]


async def converse(
    options: StreamOptions, context: ProbeContext, steady: SteadyFacts, talk: Talk
) -> ProbeResult:
    """The result of one check; what `talk` raises as TargetError is its failure.

    With both families there are two conversations at the same time.
    """
    if (tls := options.spoken_tls()) is not None:
        context.tls.prepare(tls)
    return await by_families(options.family, partial(_converse, options, context, steady, talk))


async def _converse(
    options: StreamOptions, context: ProbeContext, steady: SteadyFacts, talk: Talk, family: Family
) -> ProbeResult:
    timeline = Timeline()
    held: Conversation | None = None
    failure: Failure | None = None
    try:
        async with open_stream(options.endpoint(family), context, timeline) as stream:
            held = Conversation(options=options, stream=stream, context=context, timeline=timeline)
            await talk(held)
    except TargetError as error:
        failure = error.failure
    seen = timeline.result(failure)
    return seen if held is None else await _concluded(seen, held, steady, family)


async def _concluded(
    seen: ProbeResult, held: Conversation, steady: SteadyFacts, family: Family
) -> ProbeResult:
    options, failure = held.options, seen.failure
    tls = held.stream.tls
    judged = held.judged
    if failure is None:
        judged = [*judged, *await judge(options.assertions, _subject(seen, tls))]
        failure = assertion_failure(judged, held.stream.at)
    shown = {**(tls.as_facts() if tls else {}), **held.shown}
    facts = steady.news(options, shown, family=family, everything=failure is not None)
    if judged:
        facts["assertions"] = [each.as_facts() for each in judged]
    return replace(seen, failure=failure, facts=facts)


def _subject(seen: ProbeResult, tls: TlsFacts | None) -> Subject:
    return Subject(
        now=datetime.now(UTC),
        total_ms=seen.total_ms or 0.0,
        phases=seen.phases,
        ttfb_ms=seen.ttfb_ms,
        certificate=tls.certificate if tls else None,
    )
