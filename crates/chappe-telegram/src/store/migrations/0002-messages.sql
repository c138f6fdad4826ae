-- Ids of messages rise for each account: the last one given out.
ALTER TABLE account ADD COLUMN last_message BIGINT NOT NULL DEFAULT 0;

-- A box of messages for each account. A message is a row in the box of everyone who has it.
CREATE TABLE message (
    owner BIGINT NOT NULL,
    id BIGINT NOT NULL,
    -- Whom the owner has it with.
    peer BIGINT NOT NULL,
    sender BIGINT NOT NULL,
    -- Its id in the box of its sender: with that it is the same message everywhere.
    origin BIGINT NOT NULL,
    -- In this box.
    reply_to BIGINT,
    date BIGINT NOT NULL,
    edited BIGINT,
    -- Text and entities, as JSON of the service's own.
    content TEXT NOT NULL,
    PRIMARY KEY (owner, id)
);
CREATE INDEX message_by_peer ON message (owner, peer, id);
CREATE UNIQUE INDEX message_by_origin ON message (owner, sender, origin);

-- What happened to an account, in the order of its pts: what a client that was away is told.
CREATE TABLE event (
    owner BIGINT NOT NULL,
    -- After the event.
    pts BIGINT NOT NULL,
    count BIGINT NOT NULL,
    date BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    -- What it is about, by kind: a message, a peer and a mark, or JSON of ids.
    message BIGINT,
    peer BIGINT,
    ids TEXT,
    PRIMARY KEY (owner, pts)
);

-- Under which random_id something was sent: a repeat makes no second message (API-12).
CREATE TABLE sent (
    owner BIGINT NOT NULL,
    random_id BIGINT NOT NULL,
    message BIGINT NOT NULL,
    pts BIGINT NOT NULL,
    date BIGINT NOT NULL,
    PRIMARY KEY (owner, random_id)
);
CREATE INDEX sent_by_date ON sent (date);

-- Whom an account talks with.
CREATE TABLE dialog (
    owner BIGINT NOT NULL,
    peer BIGINT NOT NULL,
    top_message BIGINT NOT NULL,
    read_inbox BIGINT NOT NULL DEFAULT 0,
    read_outbox BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, peer)
);
CREATE INDEX dialog_by_top ON dialog (owner, top_message);
