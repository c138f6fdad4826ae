-- The key whose sign-in was taken along to this one, which ends with it.
ALTER TABLE session_of_account ADD COLUMN parent BIGINT;
CREATE INDEX session_of_account_by_parent ON session_of_account (parent);

-- Keys that another device has signed out: they are told so until they sign in again.
CREATE TABLE ended_session (
    key_id BIGINT PRIMARY KEY,
    ended BIGINT NOT NULL
);
CREATE INDEX ended_session_by_time ON ended_session (ended);

-- The button beside the text field in a talk with a bot: of one person, or (0) of all others.
CREATE TABLE bot_menu_button (
    bot BIGINT NOT NULL,
    account BIGINT NOT NULL,
    -- Nothing: it shows the commands.
    text TEXT,
    url TEXT,
    PRIMARY KEY (bot, account)
);
