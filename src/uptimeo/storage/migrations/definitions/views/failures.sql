-- An index holds the failures alone, so that the newest are found among any number of others.
CREATE OR REPLACE VIEW failures AS
SELECT h.scheduled_at AS slot, h.monitor_id, m.name AS monitor, h.datacenter_id,
       d.code AS datacenter, h.status, h.failed_phase, h.error_type, h.error_message,
       h.response_status_code, host(h.resolved_ip) AS address, h.response_time_ms, h.attempts,
       e.monitor_id IS NOT NULL AS has_evidence
FROM api_heartbeats h
LEFT JOIN api_monitors m ON m.id = h.monitor_id
LEFT JOIN datacenters d ON d.id = h.datacenter_id
LEFT JOIN heartbeat_evidence e ON e.monitor_id = h.monitor_id
    AND e.datacenter_id = h.datacenter_id AND e.scheduled_at = h.scheduled_at
WHERE h.status IN ('down', 'unknown');
COMMENT ON VIEW failures IS
    'each heartbeat that is down or unknown, with its reason, as long as heartbeats are kept; ask for a range of slots';
COMMENT ON COLUMN failures.slot IS 'when the check was due';
COMMENT ON COLUMN failures.monitor_id IS 'the monitor';
COMMENT ON COLUMN failures.monitor IS 'its name; NULL: it is gone';
COMMENT ON COLUMN failures.datacenter_id IS 'the datacenter';
COMMENT ON COLUMN failures.datacenter IS 'its code';
COMMENT ON COLUMN failures.status IS 'down: the target; unknown: a fault of our own';
COMMENT ON COLUMN failures.failed_phase IS 'in which phase it failed';
COMMENT ON COLUMN failures.error_type IS 'the error class';
COMMENT ON COLUMN failures.error_message IS 'the reason in words';
COMMENT ON COLUMN failures.response_status_code IS 'the code that was answered; NULL: none';
COMMENT ON COLUMN failures.address IS 'the address connected to';
COMMENT ON COLUMN failures.response_time_ms IS 'how long it took to fail, in ms';
COMMENT ON COLUMN failures.attempts IS 'how many tries failed';
COMMENT ON COLUMN failures.has_evidence IS
    'whether heartbeat_evidence still has what was seen: headers, body, certificate, under the same monitor, datacenter and slot (scheduled_at)';
