"""Does this URL answer as it should, and where does the time go? Probe types `http`, `https`."""

from uptimeo.probes.http.options import HttpOptions
from uptimeo.probes.http.probe import HttpProbe

__all__ = ["HttpOptions", "HttpProbe"]
