-- A lock has a capacity and a ticket a weight. With a capacity of 1 a lock excludes, and its holder stands in its row.
-- With more it is shared: holder stays 0, and its holders stand among the tickets, with their tokens.
ALTER TABLE lock ADD COLUMN capacity INTEGER NOT NULL DEFAULT 1;

ALTER TABLE ticket ADD COLUMN weight INTEGER NOT NULL DEFAULT 1;
ALTER TABLE ticket ADD COLUMN token INTEGER NOT NULL DEFAULT 0;      -- 0 while it waits
ALTER TABLE ticket ADD COLUMN granted_at INTEGER NOT NULL DEFAULT 0; -- milliseconds since boot
