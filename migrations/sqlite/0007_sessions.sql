-- Sessions that are asked again: each holds the token that it began with, sealed with a key that only its cookie
-- gives. Sessions from before have none, so nobody could ask whether they still hold: they end here.

DELETE FROM session;
-- ChaCha20-Poly1305; the key is derived from the cookie, which is not stored.
ALTER TABLE session ADD COLUMN token BLOB NOT NULL DEFAULT x'';
-- When the cluster last said that the token is good.
ALTER TABLE session ADD COLUMN checked_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN address TEXT;
-- The kind of browser, such as `Firefox, Linux`; never what it says of itself in full.
ALTER TABLE session ADD COLUMN agent TEXT NOT NULL DEFAULT '';
-- Through which interface it was last used: `browser` or `api`.
ALTER TABLE session ADD COLUMN channel TEXT NOT NULL DEFAULT 'browser';
-- The id by which lists name a session.
CREATE INDEX session_id ON session (lower(hex(substr(hash, 1, 8))));

-- How often sessions were ended on purpose. The same is kept in a file beside the database: a database that has
-- fewer, or another id, is an older or another copy, and every session in it ends when it is opened.
CREATE TABLE session_epoch (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    id    TEXT NOT NULL,
    ended INTEGER NOT NULL
) STRICT;

-- Sessions that `sluice sessions revoke` ended, which the history does not yet hold.
CREATE TABLE session_revocation (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL,
    user    TEXT NOT NULL,
    by      TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at_ms   INTEGER NOT NULL
) STRICT;
