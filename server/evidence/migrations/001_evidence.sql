-- The trusted row: what this node signed last. Everything else is checked against it, or derived from what is.
CREATE TABLE head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    origin TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    checkpoint BLOB NOT NULL
) STRICT;

-- When this node's clock said it signed each head: for people, proves nothing.
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    signed_ms INTEGER NOT NULL
) STRICT;

-- What came beside each statement, as it came. `height`: the ledger's when it was let in; `table_known`: whether its channel table was at hand.
CREATE TABLE rows (
    log_index INTEGER PRIMARY KEY,
    received_s INTEGER NOT NULL,
    height INTEGER NOT NULL,
    table_known INTEGER NOT NULL,
    salt BLOB,
    body BLOB
) STRICT;

-- Channel tables by their own hash: what gives register values a unit.
CREATE TABLE channel_tables (
    hash BLOB PRIMARY KEY,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Derived from here on: `meterproof fsck` rebuilds these from tiles, rows and ledger blocks.
CREATE TABLE statements (
    log_index INTEGER PRIMARY KEY,
    identity BLOB NOT NULL UNIQUE,
    device BLOB NOT NULL,
    kid BLOB NOT NULL,
    kind TEXT NOT NULL,
    previous BLOB,
    boot INTEGER NOT NULL,
    channel INTEGER,
    first_seq INTEGER,
    last_seq INTEGER,
    start_s INTEGER,
    clock INTEGER
) STRICT;
CREATE INDEX statements_by_sequence ON statements (device, first_seq);

CREATE TABLE rollups (
    log_index INTEGER PRIMARY KEY,
    device BLOB NOT NULL,
    channel INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    count INTEGER NOT NULL,
    first_s INTEGER NOT NULL,
    last_s INTEGER NOT NULL,
    clock INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    channel_table BLOB NOT NULL,
    first_registers BLOB NOT NULL,
    last_registers BLOB NOT NULL
) STRICT;
CREATE INDEX rollups_by_channel ON rollups (device, channel, first_seq);

CREATE TABLE chains (
    device BLOB PRIMARY KEY,
    next_seq INTEGER NOT NULL,
    head BLOB,
    state BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE lost (
    log_index INTEGER NOT NULL,
    place INTEGER NOT NULL,
    device BLOB NOT NULL,
    first_seq INTEGER NOT NULL,
    count INTEGER NOT NULL,
    identity BLOB,
    reason INTEGER NOT NULL,
    PRIMARY KEY (log_index, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE findings (
    log_index INTEGER NOT NULL,
    place INTEGER NOT NULL,
    device BLOB NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (log_index, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX findings_by_kind ON findings (kind, log_index);

-- Not derived and not evidence: samples of what was not let in, for people.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_s INTEGER NOT NULL,
    topic TEXT NOT NULL,
    code INTEGER NOT NULL,
    reason TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
