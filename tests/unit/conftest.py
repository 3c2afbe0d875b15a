"""What holds for all unit tests: a busy machine makes them slow, and never red."""

from hypothesis import settings

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
