-- Challenges outstanding, one for each device; `stranger` if it was not enrolled; `used` once evidence with that nonce came.
CREATE TABLE challenge (
    device BLOB PRIMARY KEY,
    nonce BLOB NOT NULL,
    time_s INTEGER NOT NULL,
    stranger INTEGER NOT NULL,
    used INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Evidence that passed its own checks, with the verdict on it. Pending: the device is not enrolled yet; enrolled: the ledger names this evidence.
CREATE TABLE attestation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    org BLOB NOT NULL,
    device BLOB NOT NULL,
    kid BLOB NOT NULL,
    boot INTEGER NOT NULL,
    time_s INTEGER NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('pending', 'enrolled', 'accepted', 'flagged', 'refused')),
    code INTEGER NOT NULL,
    evidence_hash BLOB NOT NULL,
    evidence BLOB NOT NULL
) STRICT;
CREATE INDEX attestation_by_device ON attestation (device, number);
CREATE UNIQUE INDEX attestation_pending ON attestation (device, kid) WHERE verdict = 'pending';

-- Access tokens are good once: those not yet expired that were used.
CREATE TABLE access_used (
    kid BLOB NOT NULL,
    random BLOB NOT NULL,
    expires_s INTEGER NOT NULL,
    PRIMARY KEY (kid, random)
) STRICT, WITHOUT ROWID;
