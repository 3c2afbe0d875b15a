"""Does a host answer, how fast, and how many of the questions? Types `ping`, `icmp`."""
