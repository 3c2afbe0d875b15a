"""What is wrong with an installation and with an agent of this host, and what to do about it?"""

from uptimeo.doctor.examine import examine
from uptimeo.doctor.facts import Setup, Trouble

__all__ = ["Setup", "Trouble", "examine"]
