-- Where a release stands in the list: those that wait for a person first, then those in progress, then those that were
-- not started, then those that ended; the newest of each first. One number, so that a page begins by a seek.
ALTER TABLE release ADD COLUMN place INTEGER GENERATED ALWAYS AS (
    CASE
        WHEN phase IN ('paused', 'pending_approval', 'needs_attention') THEN 0
        WHEN phase IN ('running', 'promoting', 'finalising', 'aborting', 'scheduled') THEN 1
        WHEN phase IN ('draft', 'validated') THEN 2
        ELSE 3
    END * 1125899906842624 - id
) VIRTUAL;
CREATE INDEX release_place ON release (place);
