"""Is the answer as it should be? What a monitor may assert of it, and what came of that. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

from uptimeo.domain.result import ErrorType, Failure, Phases
from uptimeo.domain.text import REDACTED, is_secret_header, one_line
from uptimeo.probes.answers import json_queries
from uptimeo.probes.answers.json_queries import JsonError
from uptimeo.probes.answers.matching import Pattern, PatternTimeoutError, occurs
from uptimeo.probes.answers.status_ranges import StatusRanges, in_ranges
from uptimeo.probes.network.certificates import CertificateFacts

T = TypeVar("T")
_TEXT = 200
_MOST_BYTES = 1_099_511_627_776
_DAY_MS = 86_400_000
Path = Annotated[str, AfterValidator(json_queries.checked_path)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What assertions look at: what one check saw. None or empty is what it did not get to."""

    now: datetime
    total_ms: float
    phases: Phases = field(default_factory=Phases)
    ttfb_ms: float | None = None
    status: int | None = None
    http_version: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    size_bytes: int | None = None
    certificate: CertificateFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionResult:
    """What came of one assertion, in words."""

    ok: bool
    expected: str
    got: str

    def as_facts(self) -> dict[str, Any]:
        """One element of the fact `assertions`."""
        return {"ok": self.ok, "expected": self.expected, "got": self.got}


class CannotJudgeError(Exception):
    """There is nothing to look at; such an assertion fails, negated or not."""


class Assertion(BaseModel, ABC):
    """One statement about an answer; `negate` turns it into its contrary."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    reads_body: ClassVar[bool] = False
    negate: bool = Field(default=False, description="The contrary has to hold.")

    @abstractmethod
    def _expected(self) -> str:
        """The statement in words, not negated."""

    @abstractmethod
    def _look(self, subject: Subject) -> tuple[bool, object]:
        """Whether the statement holds, and what there was. Raises CannotJudgeError."""

    def judge(self, subject: Subject) -> AssertionResult:
        """Whether the assertion holds, with what was expected and what came."""
        expected = f"not: {self._expected()}" if self.negate else self._expected()
        try:
            held, got = self._look(subject)
        except (CannotJudgeError, JsonError, PatternTimeoutError) as error:
            return AssertionResult(ok=False, expected=_shown(expected), got=_shown(error))
        ok = held is not self.negate
        return AssertionResult(ok=ok, expected=_shown(expected), got=_shown(got))


class StatusAssertion(Assertion):
    """The status is one of `codes`, such as "200-299,301"."""

    kind: Literal["status"]
    codes: StatusRanges = Field(description='Statuses and ranges of them, such as "200-299,301".')

    def _expected(self) -> str:
        return f"status {self.codes}"

    def _look(self, subject: Subject) -> tuple[bool, object]:
        status = _present(subject.status, "no status")
        return in_ranges(self.codes, status), f"status {status}"


class _TextAssertion(Assertion):
    """A text is `equals`, has `contains` in it, or the pattern `matches` is found in it."""

    equals: str | None = Field(default=None, description="It is exactly this.")
    contains: str | None = Field(default=None, min_length=1, description="This is part of it.")
    matches: Pattern | None = Field(
        default=None, description="This regular expression is found in it."
    )

    @model_validator(mode="after")
    def _one_matcher(self) -> "_TextAssertion":
        if sum(each is not None for each in (self.equals, self.contains, self.matches)) > 1:
            raise ValueError("only one of equals, contains and matches can be given")
        return self

    def _wanted(self) -> str:
        if self.equals is not None:
            return f"is {self.equals!r}"
        if self.contains is not None:
            return f"contains {self.contains!r}"
        return f"matches {self.matches!r}" if self.matches is not None else "is there"

    def _holds(self, text: str) -> bool:
        if self.equals is not None:
            return text == self.equals
        if self.contains is not None:
            return self.contains in text
        return self.matches is None or occurs(self.matches, text)


class HeaderAssertion(_TextAssertion):
    """One of the headers of that name is as wanted; without a matcher it only has to be there.

    The value of a header that may be secret is not shown.
    """

    kind: Literal["header"]
    name: str = Field(
        min_length=1, max_length=200, description="Which header, in upper or lower case."
    )

    def _expected(self) -> str:
        return f"header {self.name} {self._wanted()}"

    def _look(self, subject: Subject) -> tuple[bool, object]:
        values = [value for name, value in subject.headers if name.lower() == self.name.lower()]
        if not values:
            return False, f"no header {self.name}"
        shown = REDACTED if is_secret_header(self.name) else ", ".join(values)
        return any(map(self._holds, values)), shown


class BodyAssertion(_TextAssertion):
    """The body, read as UTF-8, is as wanted."""

    reads_body: ClassVar[bool] = True
    kind: Literal["body"]

    @model_validator(mode="after")
    def _a_matcher(self) -> "BodyAssertion":
        if self.equals is None and self.contains is None and self.matches is None:
            raise ValueError("one of equals, contains and matches is needed")
        return self

    def _expected(self) -> str:
        return f"body {self._wanted()}"

    def _look(self, subject: Subject) -> tuple[bool, object]:
        text = subject.body.decode("utf-8", "replace")
        start = f"a body that begins {text[:100]!r}" if text else "an empty body"
        return self._holds(text), start


class JsonAssertion(Assertion):
    """A value at `path` (RFC 9535) is as wanted; without a matcher something has to be there."""

    reads_body: ClassVar[bool] = True
    kind: Literal["json"]
    path: Path = Field(description="A JSONPath, such as `$.status`.")
    equals: JsonValue = Field(default=None, description="One of the values is this, also null.")
    matches: Pattern | None = Field(
        default=None, description="One of them is a text in which this pattern is found."
    )
    min: float | None = Field(default=None, description="One of them is a number, at least this.")
    max: float | None = Field(default=None, description="One of them is a number, at most this.")

    def _expected(self) -> str:
        wanted = [
            *([f"is {self.equals!r}"] if self._compares() else []),
            *([f"matches {self.matches!r}"] if self.matches is not None else []),
            *([f"is at least {self.min:g}"] if self.min is not None else []),
            *([f"is at most {self.max:g}"] if self.max is not None else []),
        ]
        return f"{self.path} {' and '.join(wanted) or 'is there'}"

    def _look(self, subject: Subject) -> tuple[bool, object]:
        found = json_queries.find(self.path, json_queries.parse_json(subject.body))
        if not found:
            return False, f"nothing at {self.path}"
        return any(map(self._fits, found)), found[0] if len(found) == 1 else found

    def _compares(self) -> bool:
        return "equals" in self.model_fields_set

    def _fits(self, value: Any) -> bool:
        if self._compares() and not _same(value, self.equals):
            return False
        if self.matches is not None and not (
            isinstance(value, str) and occurs(self.matches, value)
        ):
            return False
        if self.min is None and self.max is None:
            return True
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and _at_least(value, self.min) and _at_most(value, self.max)


class SchemaAssertion(Assertion):
    """The body is JSON that follows `schema`; a `$ref` reaches only into the schema itself."""

    reads_body: ClassVar[bool] = True
    kind: Literal["schema"]
    definition: dict[str, JsonValue] = Field(
        alias="schema", description="The JSON Schema, of draft 2020-12 unless it names another."
    )

    @field_validator("definition")
    @classmethod
    def _is_schema(cls, schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
        json_queries.checked_schema(schema)
        return schema

    def _expected(self) -> str:
        return "a body that follows the schema"

    def _look(self, subject: Subject) -> tuple[bool, object]:
        document = json_queries.parse_json(subject.body)
        reason = json_queries.violation(self.definition, document)
        return reason is None, reason or "one that follows it"


class SizeAssertion(Assertion):
    """The body has at least `min_bytes` and at most `max_bytes`."""

    kind: Literal["size"]
    min_bytes: int | None = Field(
        default=None, ge=0, le=_MOST_BYTES, description="At least so many bytes."
    )
    max_bytes: int | None = Field(
        default=None, ge=0, le=_MOST_BYTES, description="At most so many bytes."
    )

    @model_validator(mode="after")
    def _a_bound(self) -> "SizeAssertion":
        if self.min_bytes is None and self.max_bytes is None:
            raise ValueError("min_bytes or max_bytes is needed")
        return self

    def _expected(self) -> str:
        high = "any number of" if self.max_bytes is None else self.max_bytes
        return f"a body of {self.min_bytes or 0} to {high} bytes"

    def _look(self, subject: Subject) -> tuple[bool, object]:
        size = _present(subject.size_bytes, "no body")
        high = size if self.max_bytes is None else self.max_bytes
        return (self.min_bytes or 0) <= size <= high, f"{size} bytes"


class LatencyAssertion(Assertion):
    """A phase, also one of the probe's own, `total` or `ttfb` takes at most `max_ms`."""

    kind: Literal["latency"]
    of: str = Field(
        default="total", description="`total`, `ttfb` (the first byte), or the name of a phase."
    )
    max_ms: float = Field(gt=0, le=_DAY_MS, description="At most so many milliseconds.")

    def _expected(self) -> str:
        return f"{self.of} within {self.max_ms:g} ms"

    def _look(self, subject: Subject) -> tuple[bool, object]:
        spent: dict[str, float | None] = {str(name): ms for name, ms in subject.phases.measured()}
        spent |= dict(subject.phases.own) | {"total": subject.total_ms, "ttfb": subject.ttfb_ms}
        taken = _present(spent.get(self.of), f"no phase {self.of} in this check")
        return taken <= self.max_ms, f"{taken:.3f} ms"


class CertificateAssertion(Assertion):
    """The leaf, or the whole verified chain, is valid for at least `min_days` more."""

    kind: Literal["certificate"]
    min_days: float = Field(ge=0, le=36_500, description="Valid for so many more days.")
    chain: bool = Field(default=False, description="So is every certificate of the verified chain.")

    def _expected(self) -> str:
        what = "certificate chain" if self.chain else "certificate"
        return f"a {what} that is valid for at least {self.min_days:g} days"

    def _look(self, subject: Subject) -> tuple[bool, object]:
        certificate = _present(subject.certificate, "no certificate")
        left = certificate.days_left(subject.now, chain=self.chain)
        return left >= self.min_days, f"one that is valid for {left:.1f} days"


class HttpVersionAssertion(Assertion):
    """The answer came in one of these versions of HTTP."""

    kind: Literal["http_version"]
    versions: tuple[Literal["1.0", "1.1", "2", "3"], ...] = Field(
        min_length=1, description="The versions that are as they should be."
    )

    def _expected(self) -> str:
        return f"HTTP/{' or HTTP/'.join(self.versions)}"

    def _look(self, subject: Subject) -> tuple[bool, object]:
        version = _present(subject.http_version, "no HTTP version")
        return version in self.versions, f"HTTP/{version}"


AnyAssertion = Annotated[
    StatusAssertion
    | HeaderAssertion
    | BodyAssertion
    | JsonAssertion
    | SchemaAssertion
    | SizeAssertion
    | LatencyAssertion
    | CertificateAssertion
    | HttpVersionAssertion,
    Field(discriminator="kind"),
]
Assertions = Annotated[tuple[AnyAssertion, ...], Field(max_length=20)]


def judge_assertions(
    assertions: Iterable[Assertion], subject: Subject
) -> tuple[AssertionResult, ...]:
    """What came of each, in order."""
    return tuple(assertion.judge(subject) for assertion in assertions)


def assertion_failure(results: Sequence[AssertionResult], at: str) -> Failure | None:
    """The failure of a check of that address, if an assertion failed: the first, and how many."""
    failed = [result for result in results if not result.ok]
    if not failed:
        return None
    more = f"; {len(failed) - 1} more failed" if len(failed) > 1 else ""
    text = f"{at}: expected {failed[0].expected}, got {failed[0].got}{more}"
    return Failure(type=ErrorType.ASSERTION, message=text)


def _present(value: T | None, otherwise: str) -> T:
    if value is None:
        raise CannotJudgeError(otherwise)
    return value


def _at_least(value: float, low: float | None) -> bool:
    return low is None or value >= low


def _at_most(value: float, high: float | None) -> bool:
    return high is None or value <= high


def _same(one: Any, other: Any) -> bool:
    """Equality of JSON, in which true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _shown(what: object) -> str:
    return one_line(str(what), _TEXT)
