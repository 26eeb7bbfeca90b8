-- What the doors remember: browser sessions, failed sign-ins, answers to keyed requests. Nothing in here is
-- a secret: of a cookie only the SHA-256 is kept, of a request only a hash.

CREATE TABLE session (
    hash       BLOB PRIMARY KEY CHECK (length(hash) = 32),
    user       TEXT NOT NULL,
    identity   TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    seen_ms    INTEGER NOT NULL,
    ends_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX session_user ON session (user);
CREATE INDEX session_ends ON session (ends_ms);

CREATE TABLE sign_in_failure (
    address TEXT NOT NULL,
    at_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_in_failure_address ON sign_in_failure (address, at_ms);
CREATE INDEX sign_in_failure_at ON sign_in_failure (at_ms);

CREATE TABLE once (
    actor      TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    -- NULL while the request is under way.
    status     INTEGER,
    body       TEXT CHECK ((body IS NULL) = (status IS NULL)),
    PRIMARY KEY (actor, key)
) STRICT;
CREATE INDEX once_created ON once (created_ms);
