"""How far off are our own figures? A target with known delays, and what a probe makes of it."""
