"""What did the operator say to the receiver?"""

from collections.abc import Mapping
from dataclasses import dataclass

from uptimeo.domain.errors import FatalError

ADDRESS = "UPTIMEO_RECEIVE_ADDRESS"
URL = "UPTIMEO_RECEIVE_URL"
_DEFAULT_ADDRESS = "127.0.0.1:8025"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSettings:
    """Where to listen, and under which URL jobs reach the receiver."""

    host: str
    port: int
    url: str

    def ping_url(self, token: str) -> str:
        """What a job calls."""
        return f"{self.url}/ping/{token}"


def read_receiver_settings(environment: Mapping[str, str]) -> ReceiverSettings:
    """Parse the environment; FatalError names the variable and what is expected."""
    host, port = _address(environment.get(ADDRESS, "").strip() or _DEFAULT_ADDRESS)
    shown = f"[{host}]" if ":" in host else host
    url = environment.get(URL, "").strip().rstrip("/") or f"http://{shown}:{port}"
    if not url.startswith(("http://", "https://")):
        raise FatalError(f"{URL}: {url!r} is wrong; expected: a URL such as https://ping.example")
    return ReceiverSettings(host=host, port=port, url=url)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise FatalError(f"{ADDRESS}: {text!r} is wrong; expected: host:port")
    return host, int(port)
