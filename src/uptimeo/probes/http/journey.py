"""How does one check get from its URL to an answer, through challenges and redirects?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from uptimeo.probes.base import (
    AssertionResult,
    ErrorType,
    Failure,
    Family,
    Phase,
    ProbeContext,
    ProbeResult,
    TargetError,
    Timeline,
)
from uptimeo.probes.curl import CurlClient, Fault, Request, Transfer
from uptimeo.probes.curl.marks import PROXY
from uptimeo.probes.http.certificates import CertificateReader
from uptimeo.probes.http.credentials import Credentials
from uptimeo.probes.http.failures import explain
from uptimeo.probes.http.hops import Hop, result_of, sent, unsent
from uptimeo.probes.http.judging import answer_failure, asserted
from uptimeo.probes.http.memory import Memory
from uptimeo.probes.http.options import HttpOptions
from uptimeo.probes.http.requests import first_request, next_request, refused_redirect
from uptimeo.probes.http.routes import routed
from uptimeo.probes.http.tokens import Tokens
from uptimeo.probes.http.urls import shown

_NOT_YET_AGREED = (Phase.DNS, Phase.CONNECT, PROXY, Phase.TLS)
_ABOUT_TLS = frozenset(kind for kind in ErrorType if kind.value.startswith("tls_"))


class Shared:
    """What all checks of a probe have in common."""

    def __init__(self) -> None:
        self.curl = CurlClient()
        self.tokens = Tokens()
        self.certificates = CertificateReader()
        self.memory = Memory()


class Journey:
    """One check by one family of addresses: hop after hop within one budget."""

    def __init__(
        self, shared: Shared, options: HttpOptions, context: ProbeContext, family: Family
    ) -> None:
        self._shared = shared
        self._options = options
        self._context = context
        self._family = family
        self._first = first_request(options, context)
        self._credentials = Credentials(options, shared.tokens, self._first)
        self._hops: list[Hop] = []
        self._redirects = 0

    async def run(self) -> ProbeResult:
        """Go on until an answer is final, or a failure."""
        request = self._first
        while True:
            try:
                request = await self._credentials.applied(request, self._context, self._fetch)
            except TargetError as error:
                return self._without_token(error.failure)
            hop, failure = await self._send(request, self._family)
            self._hops.append(hop)
            if failure is not None or hop.transfer is None:
                return await self._concluded(hop, failure)
            step = self._step(request, hop.transfer)
            if not isinstance(step, Request):
                return await self._concluded(hop, step)
            request = step

    async def _send(self, request: Request, family: Family) -> tuple[Hop, Failure | None]:
        timeline = Timeline()
        try:
            request = await routed(request, self._options, family, self._context, timeline)
        except TargetError as error:
            return unsent(request, timeline.phases(), error.failure), error.failure
        left_ms = self._context.remaining_s() * 1000
        transfer = await self._shared.curl.send(replace(request, timeout_ms=left_ms))
        hop = sent(request, transfer)
        if transfer.error is None:
            return hop, None
        if self._redirects and transfer.error.fault is Fault.URL:
            text = f"redirected to {shown(request.url)}: {transfer.error.text}"
            return hop, Failure(type=ErrorType.REDIRECT_REFUSED, message=text)
        return hop, explain(request, transfer, hop.measured.reached)

    async def _fetch(self, request: Request) -> Transfer:
        """A request beside the check's own, such as for a token. Raises TargetError."""
        hop, failure = await self._send(request, Family.ANY)
        if failure is not None or hop.transfer is None:
            assert failure is not None
            raise TargetError(failure)
        return hop.transfer

    def _step(self, request: Request, transfer: Transfer) -> Request | Failure | None:
        """The next request, a failure, or None if this answer is the one to judge."""
        if (retry := self._credentials.retried(request, transfer)) is not None:
            return retry
        if not self._options.follow_redirects or transfer.redirect_url is None:
            return None
        refusal = refused_redirect(self._options, transfer, self._redirects)
        if refusal is not None:
            return refusal
        self._redirects += 1
        try:
            return next_request(request, transfer)
        except ValueError as error:
            text = f"redirected to {shown(transfer.redirect_url)}: {error}"
            return Failure(type=ErrorType.DNS, message=text)

    def _without_token(self, failure: Failure) -> ProbeResult:
        facts = {"token_ms": self._credentials.token_ms}
        if self._hops:
            return result_of(self._hops, replace(failure, phase=None), facts)
        return ProbeResult(total_ms=None, failure=replace(failure, phase=None), facts=facts)

    async def _concluded(self, hop: Hop, failure: Failure | None) -> ProbeResult:
        result = result_of(self._hops, failure)
        if hop.transfer is None:
            return replace(result, facts={**result.facts, **self._facts({}, (), failure)})
        seen = await self._shared.certificates.facts(
            hop.transfer.handshake,
            hop.request.tls,
            accepted=hop.measured.reached not in _NOT_YET_AGREED,
        )
        results: tuple[AssertionResult, ...] = ()
        failure = failure or answer_failure(self._options, hop.request, hop.transfer)
        if failure is None:
            results, failure = await asserted(
                self._options, self._context, hop, result, seen.certificate
            )
        agreed = seen.as_facts()
        facts = {**result.facts, **self._facts(agreed, results, failure)}
        return replace(result, failure=failure, facts=facts, certificate=agreed.get("certificate"))

    def _facts(
        self,
        agreed: Mapping[str, Any],
        results: tuple[AssertionResult, ...],
        failure: Failure | None,
    ) -> Mapping[str, Any]:
        """What is worth keeping: news, and all that has to do with a failure."""
        facts: dict[str, Any] = {}
        if self._credentials.token_ms is not None:
            facts["token_ms"] = self._credentials.token_ms
        judged = [result.as_facts() for result in results]
        verdicts = [result.ok for result in results]
        if judged and (self._is_news("assertions", verdicts) or failure is not None):
            facts["assertions"] = judged
        failed = failure is not None and failure.type in _ABOUT_TLS
        if agreed and (failed or self._is_news("tls", agreed)):
            facts |= agreed
        return facts

    def _is_news(self, topic: str, value: Any) -> bool:
        return self._shared.memory.changed(self._options, f"{topic} {self._family}", value)
