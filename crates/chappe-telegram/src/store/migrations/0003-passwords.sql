-- A key that has told the right code and not yet the password (API-05).
ALTER TABLE session_of_account ADD COLUMN is_waiting BIGINT NOT NULL DEFAULT 0;

-- Second factors: what SRP needs to see that somebody knows the password, which is nowhere.
CREATE TABLE password (
    account BIGINT PRIMARY KEY,
    salt1 BYTEA NOT NULL,
    salt2 BYTEA NOT NULL,
    verifier BYTEA NOT NULL,
    hint TEXT NOT NULL,
    changed BIGINT NOT NULL
);
