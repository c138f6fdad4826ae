-- Whoever can sign in: people and bots.
CREATE TABLE account (
    id BIGINT PRIMARY KEY,
    phone TEXT UNIQUE,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    about TEXT NOT NULL DEFAULT '',
    created BIGINT NOT NULL,
    -- Online until then; offline since then once it is past.
    online_until BIGINT NOT NULL DEFAULT 0,
    pts BIGINT NOT NULL DEFAULT 1,
    qts BIGINT NOT NULL DEFAULT 0
);

-- Which key is signed in as whom, and what its client said of itself.
CREATE TABLE session_of_account (
    key_id BIGINT PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES account (id),
    hash BIGINT NOT NULL,
    api_id BIGINT NOT NULL,
    device_model TEXT NOT NULL,
    system_version TEXT NOT NULL,
    app_version TEXT NOT NULL,
    ip TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX session_of_account_by_account ON session_of_account (account);

-- Codes that were sent and may still be used.
CREATE TABLE login_code (
    hash TEXT PRIMARY KEY,
    phone TEXT NOT NULL,
    code TEXT NOT NULL,
    tries_left BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    -- The code was right, and nobody has the number: it may be signed up.
    is_proved BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX login_code_by_phone ON login_code (phone);
CREATE INDEX login_code_by_expiry ON login_code (expires);

-- Numbers that rise, by name.
CREATE TABLE counter (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
-- The first account gets the number after this one (ACC-10).
INSERT INTO counter (name, value) VALUES ('account', 999999);

-- Keys of this installation, made once.
CREATE TABLE installation_secret (
    name TEXT PRIMARY KEY,
    secret BYTEA NOT NULL
);
