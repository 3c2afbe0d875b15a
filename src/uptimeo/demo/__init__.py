"""A target on loopback that misbehaves on purpose: something to watch without a network."""
