"""Is the answer as the monitor wants it?"""

import asyncio
from datetime import UTC, datetime

from uptimeo.probes.base import (
    AssertionResult,
    CertificateFacts,
    ErrorType,
    Failure,
    ProbeContext,
    ProbeResult,
    Subject,
    assertion_failure,
    in_ranges,
    judge,
)
from uptimeo.probes.curl import Request, Transfer
from uptimeo.probes.http.failures import place
from uptimeo.probes.http.hops import Hop
from uptimeo.probes.http.options import HttpOptions

# What is left when an answer comes at the last moment.
_GRACE_S = 0.1


def answer_failure(options: HttpOptions, request: Request, transfer: Transfer) -> Failure | None:
    """A failure over status or version; None if both are as wanted."""
    status, wanted = transfer.status_code or 0, options.judged_status
    at = place(request, transfer)
    if wanted is not None and not in_ranges(wanted, status):
        if status == 401 and options.auth is not None:
            text = f"{at} did not accept the {options.auth.kind} credentials"
            return Failure(type=ErrorType.AUTHENTICATION, message=f"{text}: HTTP status 401")
        text = f"HTTP status {status} from {at}, expected {wanted}"
        return Failure(type=ErrorType.HTTP_STATUS, message=text)
    if options.http_version not in (None, transfer.http_version):
        text = (
            f"{at} answered in HTTP/{transfer.http_version}, expected HTTP/{options.http_version}"
        )
        return Failure(type=ErrorType.HTTP_VERSION, message=text)
    return None


async def asserted(
    options: HttpOptions,
    context: ProbeContext,
    hop: Hop,
    result: ProbeResult,
    certificate: CertificateFacts | None,
) -> tuple[tuple[AssertionResult, ...], Failure | None]:
    """What came of the assertions, and the failure if one of them does not hold."""
    if not options.assertions:
        return (), None
    assert hop.transfer is not None
    transfer, at = hop.transfer, place(hop.request, hop.transfer)
    subject = Subject(
        now=datetime.now(UTC),
        total_ms=result.total_ms or 0.0,
        phases=result.phases,
        ttfb_ms=result.ttfb_ms,
        status=transfer.status_code,
        http_version=transfer.http_version,
        headers=transfer.headers,
        body=transfer.body_start,
        size_bytes=transfer.body_bytes,
        certificate=certificate,
    )
    try:
        async with asyncio.timeout(context.remaining_s() + _GRACE_S):
            results = await judge(options.assertions, subject)
    except TimeoutError:
        text = f"the assertions on {at} were not judged within {context.timeout_ms} ms"
        return (), Failure(type=ErrorType.TIMEOUT, message=text)
    return results, assertion_failure(results, at)
