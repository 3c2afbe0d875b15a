"""Through whom does a request go, if not straight to its target?"""

from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from uptimeo.probes.curl import Proxy, host_and_port
from uptimeo.probes.http.options import ENVIRONMENT, HttpOptions
from uptimeo.probes.http.urls import ascii_url, assert_proxy


def proxy_for(url: str, options: HttpOptions) -> Proxy | None:
    """The proxy for a URL, if the monitor asks for one. ValueError for one that cannot be."""
    given = options.proxy
    if given is None:
        return None
    if given != ENVIRONMENT:
        return parsed(given, options.proxy_ca_pem)
    known = getproxies_environment()
    named = known.get(urlsplit(url).scheme) or known.get("all")
    if not named or proxy_bypass(host_and_port(url)[0], known):
        return None
    named = named if "://" in named else f"http://{named}"
    assert_proxy(named)
    return parsed(named, options.proxy_ca_pem)


def parsed(url: str, ca_pem: str | None) -> Proxy:
    """A proxy's URL, taken apart."""
    parts = urlsplit(ascii_url(url))
    return Proxy(
        url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        ca_pem=ca_pem,
    )
