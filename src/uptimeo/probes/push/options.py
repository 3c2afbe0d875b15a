"""When does a job have to signal? What a push monitor may say."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from uptimeo.probes.base import ProbeOptions

_LONGEST_S = 366 * 86_400
_URL = re.compile(r"push://[^\s/@?#]{1,200}")
# A job whose clock is ahead of the database's signals before its time has come.
_EARLY = timedelta(seconds=5)
_SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - a zone is put to it


class PushOptions(ProbeOptions):
    """Either `period_s` or `cron`; the URL only names the job: push://nightly-backup."""

    url: str = Field(
        min_length=1, max_length=2000, description="push://name-of-the-job; only for people."
    )
    token_sha256: str = Field(
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 of the token in the ping URL, in hex: the token itself is not kept.",
    )
    period_s: int | None = Field(
        default=None, ge=10, le=_LONGEST_S, description="Seconds from one signal to the next."
    )
    cron: str | None = Field(
        default=None, max_length=200, description="When the job runs: five fields, as in crontab."
    )
    timezone: str = Field(default="UTC", description="The time zone of `cron`, by its IANA name.")
    grace_s: int = Field(
        default=300, ge=0, le=_LONGEST_S, description="Seconds that a signal may be late."
    )
    max_run_s: int | None = Field(
        default=None,
        ge=1,
        le=_LONGEST_S,
        description="Seconds from /start to the end; a run that lasts so long is not late.",
    )

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        if not _URL.fullmatch(url):
            raise ValueError("must have the form push://name-of-the-job")
        return url

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name[:50]!r} is no time zone such as Europe/Berlin") from error
        return name

    @model_validator(mode="after")
    def _one_schedule(self) -> "PushOptions":
        if (self.period_s is None) == (self.cron is None):
            raise ValueError("one of period_s and cron is needed")
        if self.cron is not None:
            if len(self.cron.split()) != 5:
                raise ValueError('cron: must have five fields, such as "0 3 * * *"')
            try:
                self.due_after(_SOME_DAY.replace(tzinfo=ZoneInfo(self.timezone)))
            except (CronSimError, StopIteration) as error:
                raise ValueError(f"cron: {error or 'it never comes true'}") from error
        return self

    @property
    def grace(self) -> timedelta:
        """How late a signal may be."""
        return timedelta(seconds=self.grace_s)

    def due_after(self, moment: datetime) -> datetime:
        """When the next signal after that moment is due."""
        if self.period_s is not None:
            return moment + timedelta(seconds=self.period_s)
        assert self.cron is not None
        return next(CronSim(self.cron, (moment + _EARLY).astimezone(ZoneInfo(self.timezone))))
