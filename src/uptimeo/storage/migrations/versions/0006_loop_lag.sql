-- Whether the figures of an agent can be trusted: a loop that is late measures its own lateness.

ALTER TABLE agent_instances ADD COLUMN loop_lag_p99_ms real;
COMMENT ON COLUMN agent_instances.loop_lag_p99_ms IS
    'how late its event loop was, in ms, 99 times of 100 at most, in the last ten seconds;'
    ' NULL: not known yet';
