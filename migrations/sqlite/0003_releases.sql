-- Releases: how each stands, what happened to it, what was seen of it. The history (0001) holds a row for each
-- transition too, written in the same transaction; what is here is what the engine goes on from.

CREATE TABLE release (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    service    TEXT NOT NULL,
    phase      TEXT NOT NULL,
    -- 1 while it alone moves the service's traffic.
    owns       INTEGER NOT NULL CHECK (owns IN (0, 1)),
    -- 1 while something may still happen by itself.
    live       INTEGER NOT NULL CHECK (live IN (0, 1)),
    -- Grows with every transition that is told.
    seq        INTEGER NOT NULL,
    -- Grows with every write: compare-and-set.
    version    INTEGER NOT NULL,
    spec       TEXT NOT NULL,
    -- With what is to be done next.
    state      TEXT NOT NULL,
    -- In whose name it writes.
    owner      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms   INTEGER
) STRICT;

-- One release a service.
CREATE UNIQUE INDEX release_owner ON release (service) WHERE owns = 1;
CREATE INDEX release_live ON release (id) WHERE live = 1;
CREATE INDEX release_service ON release (service, id);

CREATE TABLE release_event (
    release INTEGER NOT NULL REFERENCES release (id),
    seq     INTEGER NOT NULL,
    -- The history's row.
    entry   INTEGER NOT NULL REFERENCES audit (seq),
    body    TEXT NOT NULL,
    PRIMARY KEY (release, seq)
) STRICT, WITHOUT ROWID;

-- What each look saw, and how it was judged: enough to judge it again.
CREATE TABLE release_look (
    id      INTEGER PRIMARY KEY,
    release INTEGER NOT NULL REFERENCES release (id),
    at_ms   INTEGER NOT NULL,
    body    TEXT NOT NULL
) STRICT;
CREATE INDEX release_look_of ON release_look (release, id);

-- Half-filled forms.
CREATE TABLE release_draft (
    id         TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    fields     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX release_draft_owner ON release_draft (owner, changed_ms);

CREATE TABLE release_template (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Transitions that somebody outside is still to be told of.
CREATE TABLE webhook_outbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    release INTEGER NOT NULL REFERENCES release (id),
    body    TEXT NOT NULL,
    tries   INTEGER NOT NULL DEFAULT 0,
    due_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_due ON webhook_outbox (due_ms);
