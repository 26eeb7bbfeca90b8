-- Which colour and pattern a version of a service has on every page. Of no meaning for traffic, and no history.
CREATE TABLE version_slot (
    service TEXT NOT NULL,
    version TEXT NOT NULL,
    slot    INTEGER NOT NULL CHECK (slot BETWEEN 1 AND 4),
    PRIMARY KEY (service, version)
) STRICT, WITHOUT ROWID;
