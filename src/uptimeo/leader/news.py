"""What do people read when a lease changes hands? The words depend on what the lease is for."""

from collections.abc import Callable
from dataclasses import dataclass

from uptimeo.domain.monitor import DatacenterId
from uptimeo.leader.elector import Change
from uptimeo.telemetry import Log


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseNews:
    """`holder` is who has the lease, as far as the database said; `error` is what cut us off."""

    change: Change
    term: int | None
    holder: str | None = None
    error: Exception | None = None


Tell = Callable[[LeaseNews], None]


def datacenter_news(log: Log, datacenter: DatacenterId) -> Tell:
    """The lines that installations rely on: who runs the checks of a datacenter."""

    def tell(news: LeaseNews) -> None:
        term, error = news.term, news.error
        match news.change:
            case Change.ACQUIRED:
                assert term is not None
                log.lease_acquired(datacenter, term)
            case Change.LOST:
                log.lease_lost(datacenter, term, news.holder)
            case Change.STANDBY:
                assert term is not None
                log.standing_by(datacenter, term, news.holder)
            case Change.OFFLINE:
                log.offline_leader(datacenter, term, error)
            case Change.SUSPENDED:
                log.checks_suspended(datacenter, term, error)
            case Change.YIELDED:
                log.lease_yielded(datacenter, term, error)
            case Change.ONLINE:
                log.online_again(datacenter, term)
            case Change.RELEASED | Change.FREED | Change.NONE:
                _tell_of_giving_back(log, datacenter, news)

    return tell


def _tell_of_giving_back(log: Log, datacenter: DatacenterId, news: LeaseNews) -> None:
    assert news.term is not None
    if news.change is Change.FREED:
        log.lease_freed(datacenter, news.term)
    elif news.error is not None:
        log.lease_not_released(datacenter, news.term, news.error)
    else:
        log.lease_released(datacenter, news.term)


def maintenance_news(log: Log) -> Tell:
    """Who maintains the installation; that all others stand by is no news."""

    def tell(news: LeaseNews) -> None:
        match news.change:
            case Change.ACQUIRED | Change.ONLINE:
                log.maintenance_taken(news.term)
            case Change.LOST | Change.SUSPENDED | Change.RELEASED:
                log.maintenance_left(news.term, news.error)
            case _:
                pass

    return tell
