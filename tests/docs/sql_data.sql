-- An installation of two monitors, two datacenters and forty hours, in which things happen.
-- It is 2026-03-04 12:02:00 UTC.

INSERT INTO schedules (name, interval, thresholds_warning, thresholds_critical)
VALUES ('every minute', 60, 300, 1000), ('every five minutes', 300, 300, 1000);
INSERT INTO api_monitors (name, type, url, schedule_id) VALUES
    ('shop', 'HTTPS', 'https://shop.example/', 1),
    ('search', 'HTTPS', 'https://shop.example/search', 1),
    ('mail', 'SMTP', 'smtp://mail.example:587', 2),
    ('old', 'HTTPS', 'https://old.example/{', 2);
INSERT INTO datacenter_monitors VALUES (1, 1), (6, 1), (1, 2), (6, 2), (1, 3), (1, 4);
INSERT INTO monitor_config_errors (monitor_id, reason, since)
VALUES (4, 'url: not a URL', '2026-03-02 20:00:00+00');
DELETE FROM monitor_duty WHERE since > '-infinity' AND monitor_id = 4;
DELETE FROM monitor_duty WHERE since = '-infinity' AND monitor_id < 4;
UPDATE monitor_duty SET since = '-infinity' WHERE monitor_id < 4;

-- VA's first leader died on the 3rd at 03:00; the next began two minutes later.
INSERT INTO agent_leases (datacenter_id, term, holder, holder_name, expires_at) VALUES
    (1, 2, '00000000-0000-0000-0000-000000000002', 'va-2', '2026-03-04 12:02:03+00'),
    (6, 1, '00000000-0000-0000-0000-000000000003', 'lon-1', '2026-03-04 12:02:03+00');
INSERT INTO agent_terms (datacenter_id, term, holder, holder_name, started_at, expired_at) VALUES
    (1, 1, '00000000-0000-0000-0000-000000000001', 'va-1', '2026-03-02 20:00:00+00',
     '2026-03-03 03:00:03+00'),
    (1, 2, '00000000-0000-0000-0000-000000000002', 'va-2', '2026-03-03 03:02:00+00', NULL),
    (6, 1, '00000000-0000-0000-0000-000000000003', 'lon-1', '2026-03-02 20:00:00+00', NULL);
INSERT INTO agents (id, name, datacenter_id)
VALUES (1, 'va-1', 1), (2, 'va-2', 1), (3, 'lon-1', 6), (4, 'lon-2', 6);
INSERT INTO agent_instances (agent_id, version, host, pid, started_at, last_seen, term, spool_rows,
    spool_bytes, dropped, peers_heard, loop_lag_p99_ms)
VALUES (1, '1.4.0', 'va-host-1', 210, '2026-03-02 19:58:00+00', '2026-03-03 02:59:58+00', 1, 0,
        20480, 0, 1, 0.9),
       (2, '1.4.0', 'va-host-2', 377, '2026-03-02 19:59:00+00', '2026-03-04 12:01:55+00', 2, 0,
        24576, 0, 0, 1.1),
       (3, '1.4.0', 'lon-host-1', 122, '2026-03-02 19:57:00+00', '2026-03-04 12:01:52+00', 1, 2,
        24576, 0, 1, 0.8),
       (4, '1.4.0', 'lon-host-2', 144, '2026-03-02 19:59:00+00', '2026-03-04 12:01:59+00', NULL, 0,
        20480, 0, 1, 0.7);
INSERT INTO maintenance_windows (starts_at, ends_at, reason)
VALUES ('2026-03-03 22:00:00+00', '2026-03-03 22:30:00+00', 'new database');

SELECT partition_for('heartbeats', day)
FROM generate_series('2026-03-02 00:00+00', '2026-03-04 00:00+00', interval '1 day') day;

INSERT INTO api_heartbeats (
    scheduled_at, executed_at, term, monitor_id, datacenter_id, attempts, success, status,
    response_time_ms, dns_lookup_ms, tcp_connect_ms, tls_handshake_ms, send_ms, wait_ms,
    transfer_ms, time_to_first_byte_ms, warning_threshold_ms, critical_threshold_ms,
    response_status_code, http_version, response_server, resolved_ip, failed_phase, error_type,
    error_message, details)
SELECT slot, slot AT TIME ZONE 'UTC', term, monitor, place, attempts,
       CASE status WHEN 'unknown' THEN NULL ELSE status <> 'down' END, status,
       CASE WHEN ok THEN dns + connect + tls + wait + 1 WHEN status = 'down' THEN dns + connect END,
       CASE WHEN status <> 'unknown' THEN dns END, CASE WHEN ok THEN connect END,
       CASE WHEN ok THEN tls END, CASE WHEN ok THEN 0.5 END, CASE WHEN ok THEN wait END,
       CASE WHEN ok THEN 0.5 END, CASE WHEN ok THEN dns + connect + tls + wait + 0.5 END, 300, 1000,
       CASE WHEN ok THEN CASE monitor WHEN 3 THEN NULL ELSE 200 END END,
       CASE WHEN ok AND monitor < 3 THEN CASE WHEN slot < moved THEN '1.1' ELSE '2' END END,
       CASE WHEN ok AND monitor < 3
            THEN CASE WHEN slot < moved THEN 'nginx/1.24.0' ELSE 'nginx/1.26.2' END END,
       CASE WHEN status <> 'unknown' THEN
            (CASE WHEN monitor = 3 THEN '203.0.113.25'
                  WHEN slot < moved THEN '203.0.113.10'
                  WHEN mod(n, 2) = 0 THEN '203.0.113.20' ELSE '203.0.113.21' END)::inet END,
       CASE status WHEN 'down' THEN 'connect' END,
       CASE status WHEN 'down' THEN 'connect_refused' WHEN 'unknown' THEN 'agent_stalled' END,
       CASE status
            WHEN 'down' THEN 'connection refused by '
                || CASE monitor WHEN 3 THEN '203.0.113.25:587' ELSE '203.0.113.10:443' END
            WHEN 'unknown' THEN 'the agent itself stood still' END,
       CASE WHEN ok AND monitor = 1 AND slot IN (
               '2026-03-02 20:00+00', '2026-03-03 03:02+00', '2026-03-03 08:00+00')
            THEN jsonb_build_object('certificate', CASE WHEN slot < '2026-03-03 08:00+00'
                THEN '{"subject": "CN=shop.example", "issuer": "CN=Example CA 1",
                       "fingerprint": "sha256:1f0c", "leaf_expires": "2026-03-20T00:00:00+00:00"}'
                ELSE '{"subject": "CN=shop.example", "issuer": "CN=Example CA 2",
                       "fingerprint": "sha256:9ab3", "leaf_expires": "2026-06-01T00:00:00+00:00"}'
                END::jsonb) END
FROM (
    SELECT *, status IN ('up', 'degraded') AS ok FROM (
        SELECT slot, n, monitor, place, moved,
               CASE WHEN place = 1 AND slot >= '2026-03-03 03:02+00' THEN 2 ELSE 1 END AS term,
               2 + mod(n * 7, 5) AS dns, 10 + 40 * (place = 6)::int + mod(n * 13, 7) AS connect,
               20 + 45 * (place = 6)::int + mod(n * 5, 9) AS tls,
               40 + mod(n * 31, 37) + 90 * (monitor = 2)::int
                   + CASE WHEN slow THEN 260 ELSE 0 END AS wait,
               CASE WHEN refused THEN 3 ELSE 1 END AS attempts,
               CASE WHEN refused THEN 'down' WHEN stalled THEN 'unknown'
                    WHEN slow THEN 'degraded' ELSE 'up' END AS status
        FROM (
            SELECT slot, monitor, place, (extract(epoch FROM slot) / 60)::int - 29540000 AS n,
                   timestamptz '2026-03-03 14:12+00' AS moved,
                   monitor = 1 AND (place = 1 AND slot >= '2026-03-03 14:00+00'
                                    AND slot < '2026-03-03 14:12+00'
                                    OR place = 6 AND slot >= '2026-03-03 14:05+00'
                                    AND slot < '2026-03-03 14:10+00')
                       OR monitor = 3 AND slot >= '2026-03-04 11:40+00' AS refused,
                   place = 6 AND slot >= '2026-03-04 06:31+00' AND slot < '2026-03-04 06:33+00'
                       AS stalled,
                   monitor = 2 AND place = 6 AND slot >= '2026-03-04 10:00+00' AS slow
            FROM (VALUES (1, 1, 60), (1, 6, 60), (2, 1, 60), (2, 6, 60), (3, 1, 300))
                     runs (monitor, place, every)
            CROSS JOIN LATERAL generate_series(
                timestamptz '2026-03-02 20:00+00', timestamptz '2026-03-04 12:01+00',
                every * interval '1 s') slot
            WHERE NOT (place = 1 AND slot > '2026-03-03 03:00+00' AND slot < '2026-03-03 03:02+00')
              AND NOT (monitor = 2 AND place = 1 AND slot >= '2026-03-02 21:00+00'
                       AND slot < '2026-03-02 21:03+00')) runs) said) seen;

SELECT partition_for('heartbeat_evidence', '2026-03-04 00:00+00');
INSERT INTO heartbeat_evidence (scheduled_at, monitor_id, datacenter_id, reason, addresses)
SELECT scheduled_at, monitor_id, datacenter_id, 'failure', '{203.0.113.25:587,[2001:db8::25]:587}'
FROM api_heartbeats WHERE status = 'down' AND scheduled_at >= '2026-03-04 00:00+00';

INSERT INTO api_heartbeats_set_aside (received_at, datacenter_id, reason, payload)
SELECT received_at::timestamptz, 1, reason, format(
    '{"monitor_id": 1, "datacenter_id": %s, "term": %s, "executed_at": "%s"}', place, term,
    executed_at)
FROM (VALUES
    ('2026-03-03 03:04+00', 'executed after its term', 1, 1, '2026-03-03T03:02:01+00:00'),
    ('2026-03-03 09:10+00', 'unknown term', 1, 77, '2026-03-03T09:10:00+00:00'),
    ('2026-03-03 09:11+00', 'unknown term', 1, 77, '2026-03-03T09:11:00+00:00'),
    ('2026-03-04 07:00+00', 'wrong datacenter', 3, 2, '2026-03-04T07:00:00+00:00')
) aside (received_at, reason, place, term, executed_at);
