-- The history. One table holds it, append-only and chained by hashes; everything else in this file is
-- derived from it (and checked against it by `sluice audit verify`) so that pages are fast.

CREATE TABLE audit (
    seq      INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL CHECK (kind IN ('intent', 'outcome', 'single')),
    at_ms    INTEGER NOT NULL,
    -- The row of the intent that this outcome ends.
    intent   INTEGER REFERENCES audit (seq) CHECK ((intent IS NULL) = (kind <> 'outcome')),
    -- namespace/name
    service  TEXT,
    revision INTEGER CHECK (revision IS NULL OR (revision > 0 AND kind <> 'intent' AND service IS NOT NULL)),
    -- The entry that a reason was added to.
    about    INTEGER,
    -- What text search compares with: lower-case words, and ids between tabs. Listed rows only.
    search   TEXT CHECK ((search IS NULL) = (kind = 'intent')),
    ids      TEXT CHECK ((ids IS NULL) = (kind = 'intent')),
    prev     BLOB NOT NULL UNIQUE CHECK (length(prev) = 32),
    -- SHA-256 over prev and body.
    hash     BLOB NOT NULL CHECK (length(hash) = 32),
    -- Canonical JSON: keys in order, no spaces. Names the SHA-256 of `objects`.
    body     TEXT NOT NULL,
    -- Routing objects before and after, apart so that lists need not read them.
    objects  TEXT
) STRICT;

-- Exactly one outcome an intent; each revision of a service once.
CREATE UNIQUE INDEX audit_outcome ON audit (intent) WHERE intent IS NOT NULL;
CREATE UNIQUE INDEX audit_revision ON audit (service, revision) WHERE revision IS NOT NULL;
CREATE INDEX audit_about ON audit (about) WHERE about IS NOT NULL;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE (ABORT, 'the history is append-only'); END;

CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE (ABORT, 'the history is append-only'); END;

-- INSERT OR REPLACE deletes the row that stands in its way without waking the trigger above, so nothing
-- may stand in the way: each row continues the chain, and conflicts with no unique index.
CREATE TRIGGER audit_in_order BEFORE INSERT ON audit
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit)
  OR NEW.prev IS NOT (SELECT coalesce((SELECT hash FROM audit ORDER BY seq DESC LIMIT 1), zeroblob(32)))
  OR EXISTS (SELECT 1 FROM audit WHERE prev = NEW.prev)
  OR (NEW.intent IS NOT NULL AND EXISTS (SELECT 1 FROM audit WHERE intent = NEW.intent))
  OR (NEW.revision IS NOT NULL
      AND EXISTS (SELECT 1 FROM audit WHERE service = NEW.service AND revision = NEW.revision))
BEGIN SELECT RAISE (ABORT, 'the history is append-only'); END;

-- Every combination of filters has a key (a hash of what is filtered by), and each listed row stands
-- under all the keys that it matches, so that any filtered page is one range of this table.
CREATE TABLE listing (
    key   INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER listing_no_update BEFORE UPDATE ON listing
BEGIN SELECT RAISE (ABORT, 'the history is append-only'); END;

CREATE TRIGGER listing_no_delete BEFORE DELETE ON listing
BEGIN SELECT RAISE (ABORT, 'the history is append-only'); END;

-- The times that occur in each 1,024 rows. Rows are in order of writing, not of time (clocks are set
-- back), so a time range is first turned into a range of rows that surely holds it.
CREATE TABLE span (
    block    INTEGER PRIMARY KEY,
    first_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL
) STRICT;

-- Text search: pieces of words, made in Rust because SQLite's trigrams cannot find two Chinese characters.
CREATE VIRTUAL TABLE audit_text USING fts5 (
    grams, content = '', columnsize = 0, detail = none, tokenize = 'ascii'
);

-- Everybody who ever acted, for the filter's menu.
CREATE TABLE actor (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- Intents without an outcome: changes under way, or cut off by a crash.
CREATE TABLE open_intent (
    seq    INTEGER PRIMARY KEY REFERENCES audit (seq),
    change TEXT NOT NULL
) STRICT;

-- How each service stood after its last recorded change.
CREATE TABLE service_state (
    service     TEXT PRIMARY KEY,
    revision    INTEGER NOT NULL,
    -- NULL while no change of the service was recorded together with its objects.
    fingerprint TEXT,
    weights     TEXT,
    last        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
