-- Bots: accounts that sign in by a token.
ALTER TABLE account ADD COLUMN is_bot BIGINT NOT NULL DEFAULT 0;
CREATE TABLE bot (
    account BIGINT PRIMARY KEY,
    -- SHA-256 of the secret half of its token.
    secret_hash BYTEA NOT NULL
);

-- Names that lead to an account, whatever their case.
CREATE TABLE username (
    folded TEXT PRIMARY KEY,
    account BIGINT NOT NULL UNIQUE,
    shown TEXT NOT NULL
);

-- Whom an account knows, and by what name.
CREATE TABLE contact (
    owner BIGINT NOT NULL,
    account BIGINT NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    PRIMARY KEY (owner, account)
);
CREATE INDEX contact_by_account ON contact (account, owner);
