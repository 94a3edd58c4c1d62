-- State tree by place, several levels to a row (tree.py); x'01' in the list without a name: make them from the state.
CREATE TABLE tree_page (place BLOB PRIMARY KEY, cells BLOB NOT NULL) WITHOUT ROWID;
DROP TABLE tree;
INSERT INTO listed SELECT x'', x'01' FROM head;
