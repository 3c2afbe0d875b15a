"""Documents that are made of the code, or checked against it."""
