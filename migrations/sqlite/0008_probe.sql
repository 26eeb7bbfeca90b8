-- What is written to find out whether the disk takes anything again. Of no meaning, and never read.
CREATE TABLE probe (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    at_ms  INTEGER NOT NULL,
    filler BLOB NOT NULL
) STRICT;
