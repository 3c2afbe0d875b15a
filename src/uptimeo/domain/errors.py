"""Which faults of our own are there, and what may the caller do about each?

A failed check is not among them: it is a value, `uptimeo.domain.result.ProbeResult`.
"""


class UptimeoError(Exception):
    """Base of every fault that UptimeO raises on purpose."""


class TransientError(UptimeoError):
    """Nothing is wrong with the request: try again later, with backoff."""


class FatalError(UptimeoError):
    """Trying again cannot help; the message says what a person has to change."""


class RejectedError(UptimeoError):
    """PostgreSQL refused the data itself; the same data will be refused again."""


class InvalidMonitorError(UptimeoError):
    """A config row that cannot become a monitor; the message is the reason shown to its owner."""


class SealError(UptimeoError):
    """A sealed secret that cannot be opened here; the message says why, and holds no value."""
