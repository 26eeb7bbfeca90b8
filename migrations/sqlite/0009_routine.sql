-- Entries that a release records by itself while it runs as planned, so that a list can leave them out. Derived from
-- the rows of `audit`; rows that are older than this table are not in it and stay in every list.
CREATE TABLE routine (seq INTEGER PRIMARY KEY) STRICT;
