"""An installation of the older kind, with every fault that such ones have."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

# Columns and types are those of the contract. The rest is what was seen in the field: names twice,
# references to nothing, sequences behind their tables, columns and tables of the user's own.
CONFIG = """
CREATE TABLE regions (id serial PRIMARY KEY, name varchar(50), region_code varchar(20),
                      group_name varchar(20));
CREATE TABLE datacenters (id serial PRIMARY KEY, code varchar(10), name varchar(50),
                          region_id int);
CREATE TABLE agents (id serial PRIMARY KEY, name varchar(50), datacenter_id int);
CREATE TABLE schedules (id serial PRIMARY KEY, name varchar(50), interval int,
    include_response_body boolean, thresholds_warning int, thresholds_critical int);
CREATE TABLE api_monitors (id serial PRIMARY KEY, name varchar(100), method varchar(10),
    type varchar(10), url text, schedule_id int, headers jsonb, body jsonb,
    created_at timestamp DEFAULT now(), calls_per_interval int DEFAULT 1);
CREATE TABLE datacenter_monitors (datacenter_id int, monitor_id int);
CREATE TABLE status_pages (id serial PRIMARY KEY, title text,
                           monitor_id int REFERENCES api_monitors ON DELETE CASCADE);

INSERT INTO regions (id, name, region_code) VALUES (1, 'US', 'us'), (2, 'US again', 'us'),
    (3, NULL, NULL), (4, NULL, NULL);
INSERT INTO datacenters (id, code, name, region_id) VALUES (1, 'VA', 'Virginia', 1),
    (2, 'VA', 'Virginia again', 9), (3, NULL, NULL, NULL);
INSERT INTO agents (id, name, datacenter_id) VALUES (1, 'agent', 1), (2, 'agent', 1),
    (3, 'lost', 77), (4, NULL, NULL), (5, 'agent', 2);
INSERT INTO schedules VALUES (1, 'often', 60, false, 100, 300), (2, 'often', 0, NULL, 500, 300),
    (3, NULL, NULL, true, -1, 0), (4, 'rare', 999999, false, NULL, 200);
INSERT INTO api_monitors (id, name, method, type, url, schedule_id, headers, body) VALUES
    (1, 'home', 'GET', 'HTTP', 'http://target/', 1, '{"A": "b"}', '"text"'),
    (2, 'home', 'get it', 'HTTPS', 'https://target/', 99, '"not an object"', NULL),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, '{"a": 1}'),
    (40, 'far', 'POST', 'HTTP', 'http://far/', 2, NULL, NULL);
INSERT INTO datacenter_monitors VALUES (1, 1), (1, 1), (88, 1), (2, 99), (NULL, 1), (3, 40);
INSERT INTO status_pages (title, monitor_id) VALUES ('all', 1), ('far', 40);
"""
_COLUMNS = """
    id bigserial, monitor_id int, agent_id int, executed_at timestamp, success boolean,
    response_time_ms int, response_size_bytes int, response_status_code int,
    response_content_type varchar(50), response_server varchar(50),
    response_cache_status varchar(50), dns_lookup_ms int, tcp_connect_ms int,
    tls_handshake_ms int, time_to_first_byte_ms int, warning_threshold_ms int,
    critical_threshold_ms int, error_type varchar(50), error_message text,
    raw_request_headers jsonb, raw_response_headers jsonb, raw_response_body {body},
    url_index int DEFAULT 0"""
PLAIN = f"CREATE TABLE api_heartbeats ({_COLUMNS.format(body='jsonb')}, PRIMARY KEY (id));"
TEXT = f"CREATE TABLE api_heartbeats ({_COLUMNS.format(body='text')}, PRIMARY KEY (id));"
# The daily partitions of some versions, with the one that is never dropped.
PARTITIONED = f"""
CREATE TABLE api_heartbeats ({_COLUMNS.format(body="jsonb")}, PRIMARY KEY (id, executed_at))
    PARTITION BY RANGE (executed_at);
CREATE TABLE api_heartbeats_today PARTITION OF api_heartbeats
    FOR VALUES FROM ('2026-01-01') TO ('2030-01-01');
CREATE TABLE api_heartbeats_20251231 PARTITION OF api_heartbeats
    FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
"""
READERS = """
CREATE VIEW failing AS SELECT m.name, h.executed_at, h.error_type FROM api_heartbeats h
    JOIN api_monitors m ON m.id = h.monitor_id WHERE NOT h.success;
CREATE VIEW failing_names AS SELECT DISTINCT name FROM failing;
COMMENT ON VIEW failing IS 'for the dashboard';
"""
# Rows: the faults first, then ordinary ones; nearly one in a hundred is there twice, as from two
# leaders.
FILTHY = """
INSERT INTO api_heartbeats (id, monitor_id, agent_id, executed_at, success, response_time_ms,
    warning_threshold_ms, critical_threshold_ms, error_type, raw_response_body) VALUES
    (1, 1, 1, '2025-12-31 23:59:59.999999', true, 90, 100, 300, NULL, '{"a": 1}'),
    (2, 1, 1, '2025-12-31 23:59:59.999999', true, 200, 100, 300, NULL, NULL),
    (3, 1, 2, '2025-12-31 23:59:59.999999', true, 400, 100, 300, NULL, NULL),
    (4, 1, 1, '2026-01-01 00:00:00', false, NULL, 100, 300, 'TIMEOUT', '"text"'),
    (5, 1, 999, '2026-01-01 00:00:01', true, 5, NULL, NULL, NULL, NULL),
    (6, NULL, NULL, '2026-01-01 00:00:02', NULL, 5, NULL, NULL, NULL, NULL),
    (7, 1, 3, '2026-01-01 00:00:03', true, 5, NULL, NULL, NULL, NULL),
    (8, 1, 1, '1969-07-20 20:17:40', true, 2147483647, NULL, NULL, NULL, NULL),
    (-5, 1, 4, '2026-01-01 00:00:04', true, 5, NULL, NULL, NULL, NULL);
"""
ORDINARY = """
INSERT INTO api_heartbeats (id, monitor_id, agent_id, executed_at, success, response_time_ms,
    response_size_bytes, response_status_code, response_content_type, dns_lookup_ms,
    tcp_connect_ms, tls_handshake_ms, time_to_first_byte_ms, warning_threshold_ms,
    critical_threshold_ms, raw_request_headers, raw_response_headers, url_index)
SELECT 100 + n, 1 + (n - (n % 100 = 0)::int) % 3, 1 + (n - (n % 100 = 0)::int) % 5,
       timestamp '{newest}' - ({count} - n) / 6 * interval '{every_ms} ms', n % 50 <> 0, n % 400,
       1000 + n % 77, 200, 'application/json', n % 9, n % 11, n % 13, n % 300, 100, 300,
       '{{"User-Agent": "CustomMonitor/1.0"}}',
       CASE WHEN n % 10 = 0 THEN '{{"Server": "nginx", "Content-Length": "1000"}}'::jsonb END,
       n % 3
FROM generate_series(1, {count}) n
"""
# What an agent of the older kind sends: the old columns, by name.
INSERT = """
INSERT INTO api_heartbeats (monitor_id, agent_id, executed_at, success, response_time_ms,
    response_size_bytes, response_status_code, response_content_type, response_server,
    response_cache_status, dns_lookup_ms, tcp_connect_ms, tls_handshake_ms, time_to_first_byte_ms,
    warning_threshold_ms, critical_threshold_ms, error_type, error_message, raw_request_headers,
    raw_response_headers, raw_response_body)
VALUES (1, 1, clock_timestamp() AT TIME ZONE 'UTC', true, 120, 1024, 200, 'text/html', 'nginx',
    NULL, 1, 2, 3, 110, 100, 300, NULL, NULL, '{"a": "b"}', NULL, '"body"')
RETURNING id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Which of the older versions."""

    heartbeats: str = PLAIN
    readers: str = READERS
    filthy: str = FILTHY


def quiet(_: object) -> None:
    """Hear of the progress of an adoption, and say nothing."""


def make(conninfo: str, rows: int, kind: Kind = Kind(), *, every_ms: int = 1000) -> None:
    """Fill an empty database with such an installation and that many ordinary heartbeats."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        newest = "2026-01-20 12:00:00"
        ordinary = ORDINARY.format(newest=newest, count=rows, every_ms=every_ms)
        for text in (CONFIG, kind.heartbeats, kind.readers, kind.filthy, ordinary):
            connection.execute(text.encode())
        # Behind the table, as after a restore.
        connection.execute(f"SELECT setval('api_heartbeats_id_seq', {rows + 200})".encode())


# All that the older columns of a heartbeat say, as text that is the same for `int` and `real`.
_SAID = """
ROW(id, monitor_id, agent_id, executed_at, success, response_time_ms::numeric::bigint,
    response_size_bytes, response_status_code, response_content_type, response_server,
    response_cache_status, dns_lookup_ms::int, tcp_connect_ms::int, tls_handshake_ms::int,
    time_to_first_byte_ms::int, warning_threshold_ms, critical_threshold_ms, error_type,
    error_message, raw_request_headers, raw_response_headers, raw_response_body)::text
"""
FINGERPRINT = f"""
SELECT count(*), count(DISTINCT id), sum(hashtextextended({_SAID}, 0)::numeric)::text
FROM {{table}} WHERE id BETWEEN 9 AND {{last}}
"""


def fingerprint(conninfo: str, last: int, table: str = "api_heartbeats") -> tuple[int, int, str]:
    """Rows, ids and a sum over everything the ordinary rows up to an id say."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(FINGERPRINT.format(table=table, last=last).encode()).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


_REMEMBER = f"""
CREATE SCHEMA evidence;
CREATE TABLE evidence.said AS
SELECT id, hashtextextended({_SAID}, 0) AS said FROM api_heartbeats WHERE id >= 9
"""
_CHANGED = f"""
WITH now AS (
    SELECT id, hashtextextended({_SAID}, 0) AS said FROM api_heartbeats
    WHERE id BETWEEN 9 AND (SELECT max(id) FROM evidence.said))
SELECT (SELECT count(*) FROM evidence.said b FULL JOIN now USING (id)
        WHERE now.said IS DISTINCT FROM b.said)
     + (SELECT count(*) - count(DISTINCT id) FROM now)
"""


def remember(conninfo: str) -> None:
    """Keep what each ordinary row says, in a schema beside."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(_REMEMBER.encode())


def changed(conninfo: str) -> int:
    """How many of those rows are gone, say something else, or are there twice; new ones too."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(_CHANGED.encode()).fetchone()
    assert row is not None
    return int(row[0])


@dataclass(slots=True)
class Writer:
    """An agent of the older kind that inserts all the time: ids, and how long each took."""

    ids: list[int] = field(default_factory=list)
    took: list[tuple[float, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def writing(conninfo: str, pause_s: float = 0.005) -> Iterator[Writer]:
    """One of them at work, with a prepared statement; it does not try again."""
    writer, stop = Writer(), threading.Event()

    def write() -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while not stop.wait(pause_s):
                began = time.monotonic()
                try:
                    row = connection.execute(INSERT, prepare=True).fetchone()
                except psycopg.Error as error:
                    writer.errors.append(str(error))
                    continue
                writer.took.append((began, time.monotonic() - began))
                assert row is not None
                writer.ids.append(row[0])

    thread = threading.Thread(target=write, name="older writer")
    thread.start()
    try:
        yield writer
    finally:
        stop.set()
        thread.join()
