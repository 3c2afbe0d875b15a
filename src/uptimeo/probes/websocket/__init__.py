"""Does a WebSocket answer, and what? Types `ws`, `wss`."""
