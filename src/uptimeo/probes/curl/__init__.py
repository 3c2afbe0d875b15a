"""How is one HTTP request sent with libcurl? The only package that imports pycurl."""

from uptimeo.probes.curl.client import CurlClient
from uptimeo.probes.curl.setup import assert_parsable, request_target
from uptimeo.probes.curl.transfer import (
    Fault,
    Handshake,
    Proxy,
    Request,
    Route,
    Transfer,
    TransferError,
    host_and_port,
)

__all__ = [
    "CurlClient",
    "Fault",
    "Handshake",
    "Proxy",
    "Request",
    "Route",
    "Transfer",
    "TransferError",
    "assert_parsable",
    "host_and_port",
    "request_target",
]
