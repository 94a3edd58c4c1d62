-- Lists that follow from the state (lists.py). In the list without a name x'00': this file was made without lists, fill them.
CREATE TABLE listed (list BLOB NOT NULL, member BLOB NOT NULL, PRIMARY KEY (list, member)) WITHOUT ROWID;
INSERT INTO listed SELECT x'', x'00' FROM head;
