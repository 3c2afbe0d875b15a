"""Real counterparts for tests: servers, databases, builders."""
