-- A value that appears after another one. The first value of a fact is no change, nor is one that
-- comes back after a time in which nothing was seen.
CREATE OR REPLACE VIEW target_changes AS
SELECT f.first_seen AS changed_at, f.monitor_id, m.name AS monitor, f.datacenter_id,
       d.code AS datacenter, f.fact, f.before AS old_value, f.value AS new_value, f.last_seen,
       f.about
FROM (
    SELECT *, lag(value) OVER (PARTITION BY monitor_id, datacenter_id, fact
                               ORDER BY first_seen, value) AS before
    FROM monitor_facts) f
LEFT JOIN api_monitors m ON m.id = f.monitor_id
LEFT JOIN datacenters d ON d.id = f.datacenter_id
WHERE f.before <> f.value;
COMMENT ON VIEW target_changes IS
    'each certificate, address, HTTP version or Server header that a target showed after another one';
COMMENT ON COLUMN target_changes.changed_at IS 'the slot of the first check that saw it';
COMMENT ON COLUMN target_changes.monitor_id IS 'the monitor';
COMMENT ON COLUMN target_changes.monitor IS 'its name; NULL: it is gone';
COMMENT ON COLUMN target_changes.datacenter_id IS 'where it was seen';
COMMENT ON COLUMN target_changes.datacenter IS 'its code';
COMMENT ON COLUMN target_changes.fact IS 'address, certificate, http_version, server';
COMMENT ON COLUMN target_changes.old_value IS 'the value that appeared before it; addresses may be in use side by side';
COMMENT ON COLUMN target_changes.new_value IS 'the value; of a certificate its fingerprint';
COMMENT ON COLUMN target_changes.last_seen IS 'until when it was seen: see monitor_facts.last_seen';
COMMENT ON COLUMN target_changes.about IS
    'of a certificate: subject, issuer, leaf_expires, chain_expires';
