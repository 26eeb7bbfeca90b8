-- A message waits for one receiver, so that one that is away holds up nobody else. Named by a digest of its address,
-- which may hold a secret. Empty: written before there were names; each receiver gets a copy at the next start.
ALTER TABLE webhook_outbox ADD COLUMN receiver TEXT NOT NULL DEFAULT '';
CREATE INDEX webhook_order ON webhook_outbox (release, receiver, id);
