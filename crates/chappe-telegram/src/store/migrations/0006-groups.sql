-- Basic groups. In a column `peer` of other tables they are negative numbers.
CREATE TABLE chat (
    id BIGINT PRIMARY KEY,
    title TEXT NOT NULL,
    about TEXT NOT NULL DEFAULT '',
    created BIGINT NOT NULL,
    -- Rises with every change: clients tell by it whether they missed one.
    version BIGINT NOT NULL DEFAULT 1,
    -- What ordinary members may not do, in the bits of chatBannedRights.
    banned BIGINT NOT NULL DEFAULT 0,
    -- Its photo, as JSON of the service's own.
    photo TEXT,
    is_over BIGINT NOT NULL DEFAULT 0
);
INSERT INTO counter (name, value) VALUES ('chat', 0);

-- Who is in a group, and who was.
CREATE TABLE chat_member (
    chat BIGINT NOT NULL,
    account BIGINT NOT NULL,
    inviter BIGINT NOT NULL,
    date BIGINT NOT NULL,
    -- 1 member, 2 administrator, 3 creator.
    role BIGINT NOT NULL,
    -- 1 in the group, 2 left it, 3 was removed.
    state BIGINT NOT NULL,
    -- Of the link by which somebody joined.
    invite TEXT,
    PRIMARY KEY (chat, account)
);
CREATE INDEX chat_member_by_account ON chat_member (account, chat);

-- Links by which people join.
CREATE TABLE chat_invite (
    hash TEXT PRIMARY KEY,
    chat BIGINT NOT NULL,
    creator BIGINT NOT NULL,
    date BIGINT NOT NULL,
    expires BIGINT,
    usage_limit BIGINT,
    used BIGINT NOT NULL DEFAULT 0,
    title TEXT,
    is_permanent BIGINT NOT NULL,
    is_revoked BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX chat_invite_by_chat ON chat_invite (chat, creator);

-- The text in lower case, and what else it is, in bits: for searches.
ALTER TABLE message ADD COLUMN folded TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN kinds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN pinned BIGINT NOT NULL DEFAULT 0;
-- Whether it is to the owner above all, and whether the owner has yet to look at it.
ALTER TABLE message ADD COLUMN mentioned BIGINT NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN unheeded BIGINT NOT NULL DEFAULT 0;

-- Place among the pinned ones, the highest first; 0 for the others.
ALTER TABLE dialog ADD COLUMN pinned BIGINT NOT NULL DEFAULT 0;
ALTER TABLE dialog ADD COLUMN unread_mark BIGINT NOT NULL DEFAULT 0;

-- What somebody began to write.
CREATE TABLE draft (
    owner BIGINT NOT NULL,
    peer BIGINT NOT NULL,
    date BIGINT NOT NULL,
    -- In this box.
    reply_to BIGINT,
    no_webpage BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (owner, peer)
);
