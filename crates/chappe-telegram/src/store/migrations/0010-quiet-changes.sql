-- What an account changed of its own that moves no pts, and when last: what a device that was away
-- is told. A row stays when what it is about is gone, for then that is what is told.
CREATE TABLE quiet_change (
    owner BIGINT NOT NULL,
    -- 1 a draft, 2 which dialogs are pinned (with peer 0), 3 a dialog marked as unread, 4 a block.
    kind BIGINT NOT NULL,
    peer BIGINT NOT NULL,
    -- Unix second.
    changed BIGINT NOT NULL,
    PRIMARY KEY (owner, kind, peer)
);
CREATE INDEX quiet_change_by_time ON quiet_change (owner, changed, kind, peer);

-- As far as it is known when.
INSERT INTO quiet_change (owner, kind, peer, changed) SELECT owner, 1, peer, date FROM draft;
INSERT INTO quiet_change (owner, kind, peer, changed) SELECT owner, 4, account, date FROM block;
