-- Lists that follow from the state (lists.py). A list without a name: this file was made without lists, fill them.
CREATE TABLE listed (list BLOB NOT NULL, member BLOB NOT NULL, PRIMARY KEY (list, member)) WITHOUT ROWID;
INSERT INTO listed SELECT x'', x'00' FROM head;
