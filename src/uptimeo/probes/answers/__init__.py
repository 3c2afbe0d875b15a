"""Is an answer what was expected? Assertions, patterns, and what is news about it."""
