-- Tokens that expire up to here may have been used and forgotten: none of them passes again, wherever the clock stands. It never falls.
CREATE TABLE access_mark (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    expires_s INTEGER NOT NULL
) STRICT;
INSERT INTO access_mark VALUES (1, 0);
