"""How does code below a probe say that the target failed?"""

from dataclasses import replace

from uptimeo.domain.result import ErrorType, Failure, Phase


class TargetError(Exception):
    """Ends a check early with its failure; the probe catches it and returns a result.

    It never leaves a probe: what does is taken for a bug of it.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure

    def within(self, phase: Phase | str) -> "TargetError":
        """The same, in that phase."""
        return TargetError(replace(self.failure, phase=phase))


def fail(kind: ErrorType, message: str, phase: Phase | str | None = None) -> TargetError:
    """A TargetError to raise."""
    return TargetError(Failure(type=kind, message=message, phase=phase))
