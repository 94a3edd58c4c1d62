-- One row a statement instead of two, and each of the byte strings that come again in every statement only once.
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    name BLOB NOT NULL UNIQUE
) STRICT;

-- `device`, `kid`, `channel_table`: ids of names. `kind`: 0 readings, 1 gap, 2 time repair. From `channel` on: of readings only, `readings` of them.
CREATE TABLE logged (
    log_index INTEGER PRIMARY KEY,
    identity BLOB NOT NULL,
    device INTEGER NOT NULL,
    kid INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    channel INTEGER,
    first_seq INTEGER,
    readings INTEGER,
    start_s INTEGER,
    clock INTEGER,
    channel_table INTEGER,
    last_s INTEGER,
    first_registers BLOB,
    last_registers BLOB
) STRICT;

INSERT INTO names (name)
    SELECT device FROM statements UNION SELECT kid FROM statements UNION SELECT channel_table FROM rollups;
INSERT INTO logged
    SELECT s.log_index, s.identity, (SELECT id FROM names WHERE name = s.device), (SELECT id FROM names WHERE name = s.kid),
        CASE s.kind WHEN 'readings' THEN 0 WHEN 'gap' THEN 1 ELSE 2 END, s.boot, s.channel, s.first_seq, s.last_seq - s.first_seq + 1,
        s.start_s, s.clock, (SELECT id FROM names WHERE name = r.channel_table), r.last_s, r.first_registers, r.last_registers
    FROM statements s LEFT JOIN rollups r ON r.log_index = s.log_index;
DROP TABLE rollups;
DROP TABLE statements;

-- Half of an identity tells it from all others; look-ups compare the whole.
CREATE UNIQUE INDEX logged_by_identity ON logged (substr(identity, 1, 16));
CREATE INDEX logged_by_sequence ON logged (device, first_seq, channel);

CREATE VIEW statements AS
    SELECT l.log_index, l.identity, d.name AS device, k.name AS kid,
        CASE l.kind WHEN 0 THEN 'readings' WHEN 1 THEN 'gap' ELSE 'time-repair' END AS kind, l.boot, l.channel, l.first_seq,
        l.readings, l.first_seq + l.readings - 1 AS last_seq, l.start_s, l.clock, t.name AS channel_table, l.last_s, l.first_registers, l.last_registers
    FROM logged l JOIN names d ON d.id = l.device JOIN names k ON k.id = l.kid LEFT JOIN names t ON t.id = l.channel_table;
