-- The ledger of one chain. All of one block is written in one transaction; `head` is its commit point.
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    genesis BLOB NOT NULL,
    height INTEGER NOT NULL,
    time_s INTEGER NOT NULL,
    app_hash BLOB NOT NULL,
    log_size INTEGER NOT NULL,
    state_root BLOB NOT NULL,
    checkpoint BLOB            -- signed note over (log_size, app_hash); null before the first block
);
CREATE TABLE block (height INTEGER PRIMARY KEY, data BLOB NOT NULL);
-- Ledger log: receipts and block leaves in order, and the roots of its complete subtrees.
CREATE TABLE entry (place INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE log_node (level INTEGER NOT NULL, place INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, place)) WITHOUT ROWID;
-- Where to find the receipt of a transaction; final = 0 when it changed nothing, not even a nonce.
CREATE TABLE receipt (identity BLOB NOT NULL, place INTEGER NOT NULL, final INTEGER NOT NULL, PRIMARY KEY (identity, place)) WITHOUT ROWID;
CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
-- State tree by place: depth and path bits; 00 path value-hash, or 01 left right.
CREATE TABLE tree (place BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
