"""How does a probe learn what a job has signalled? Fulfilled outside of the check path."""

from typing import Protocol

from uptimeo.domain.signal import SignalState


class SignalSource(Protocol):
    """Where signals are kept."""

    async def read(self, token_sha256: str) -> SignalState | None:
        """What is known under that hash; None if there is no such monitor.

        Raises TransientError while it cannot be read.
        """
