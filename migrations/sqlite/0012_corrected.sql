-- The result of entries whose body says another one than their events do: earlier versions recorded an action of a
-- release that was not done, and an analysis that failed, as applied. Derived from the rows of `audit`, once; rows
-- that are written later have the right result in their body.
CREATE TABLE corrected (
    seq    INTEGER PRIMARY KEY,
    ending TEXT NOT NULL
) STRICT;
CREATE INDEX corrected_ending ON corrected (ending, seq);
-- Holds one row once the table above is complete.
CREATE TABLE corrected_done (one INTEGER PRIMARY KEY CHECK (one = 1)) STRICT;
