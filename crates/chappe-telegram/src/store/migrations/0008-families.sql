-- The key whose sign-in was taken along to this one, which ends with it.
ALTER TABLE session_of_account ADD COLUMN parent BIGINT;
CREATE INDEX session_of_account_by_parent ON session_of_account (parent);

-- Keys that another device has signed out: they are told so until they sign in again.
CREATE TABLE ended_session (
    key_id BIGINT PRIMARY KEY,
    ended BIGINT NOT NULL
);
CREATE INDEX ended_session_by_time ON ended_session (ended);
