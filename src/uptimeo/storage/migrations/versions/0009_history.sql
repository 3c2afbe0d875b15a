-- Every change of what is watched, where and how often: who, when, from what, to what.

CREATE TABLE config_history (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    role        text NOT NULL DEFAULT session_user,
    application text NOT NULL DEFAULT current_setting('application_name'),
    address     inet DEFAULT inet_client_addr(),
    source      name NOT NULL,
    action      text NOT NULL CHECK (action IN ('found', 'insert', 'update', 'delete')),
    key         jsonb NOT NULL,
    old         jsonb,
    new         jsonb
);
CREATE INDEX config_history_of_row ON config_history (source, key, id);
CREATE INDEX config_history_of_monitor ON config_history (((key ->> 'monitor_id')::int), id)
    WHERE source = 'datacenter_monitors';
COMMENT ON TABLE config_history IS
    'every change of a monitor, a schedule or an assignment; it is kept for ever';
COMMENT ON COLUMN config_history.changed_at IS 'by the clock of the database, UTC';
COMMENT ON COLUMN config_history.role IS 'who: the role that logged in';
COMMENT ON COLUMN config_history.application IS
    'what it called itself; the command line gives the user and host of the person';
COMMENT ON COLUMN config_history.address IS 'from where; NULL: over a socket of the same host';
COMMENT ON COLUMN config_history.source IS 'the table';
COMMENT ON COLUMN config_history.action IS
    'what was done; found: the row was there when the history began';
COMMENT ON COLUMN config_history.key IS 'the primary key of the row';
COMMENT ON COLUMN config_history.old IS 'the row before; NULL: there was none';
COMMENT ON COLUMN config_history.new IS 'the row after; NULL: it is gone';

INSERT INTO config_history (source, action, key, new)
SELECT 'api_monitors', 'found', jsonb_build_object('id', id), to_jsonb(m) FROM api_monitors m
UNION ALL
SELECT 'schedules', 'found', jsonb_build_object('id', id), to_jsonb(s) FROM schedules s
UNION ALL
SELECT 'datacenter_monitors', 'found',
       jsonb_build_object('datacenter_id', datacenter_id, 'monitor_id', monitor_id), to_jsonb(x)
FROM datacenter_monitors x;
