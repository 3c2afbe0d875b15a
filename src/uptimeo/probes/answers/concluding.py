"""How does a check end? With what was asserted judged, and with what TLS showed if it is news."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from uptimeo.probes.answers.steady import SteadyFacts
from uptimeo.probes.base import (
    Assertions,
    ProbeOptions,
    ProbeResult,
    Stream,
    Subject,
    TlsFacts,
    assertion_failure,
    judge,
)


async def concluded(
    result: ProbeResult,
    assertions: Assertions,
    at: str,
    *,
    body: bytes = b"",
    tls: TlsFacts | None = None,
) -> ProbeResult:
    """The same result if it is a failure; else with what came of each assertion."""
    if result.failure is not None or not assertions:
        return result
    subject = Subject(
        now=datetime.now(UTC),
        total_ms=result.total_ms or 0.0,
        phases=result.phases,
        ttfb_ms=result.ttfb_ms,
        body=body,
        size_bytes=None if result.exchange is None else result.exchange.size_bytes,
        certificate=None if tls is None else tls.certificate,
    )
    judged = await judge(assertions, subject)
    facts: Mapping[str, Any] = {**result.facts, "assertions": [each.as_facts() for each in judged]}
    return replace(result, failure=assertion_failure(judged, at), facts=facts)


def with_tls(
    result: ProbeResult, options: ProbeOptions, stream: Stream | None, steady: SteadyFacts
) -> ProbeResult:
    """The same result with what TLS showed: if it differs from last time, or with a failure."""
    if stream is None or stream.tls is None:
        return result
    failed = result.failure is not None
    news = steady.news(options, stream.tls.as_facts(), everything=failed)
    return replace(result, facts={**news, **result.facts})
