-- Events up to this pts are no longer in the log (UPD-13).
ALTER TABLE account ADD COLUMN pruned_pts BIGINT NOT NULL DEFAULT 0;

-- Who tells people of their account itself (ACC-10). Nobody signs in as it.
INSERT INTO account (id, first_name, last_name, created) VALUES (777000, 'Chappe', '', 0);

-- What a bot says of itself. With a placeholder it answers inline queries.
ALTER TABLE bot ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE bot ADD COLUMN inline_placeholder TEXT;
-- Rises with every change of its commands.
ALTER TABLE bot ADD COLUMN info_version BIGINT NOT NULL DEFAULT 1;

-- Commands of a bot, by whom they are for and the language of that person.
CREATE TABLE bot_commands (
    bot BIGINT NOT NULL,
    scope TEXT NOT NULL,
    lang TEXT NOT NULL,
    -- JSON of the service's own.
    commands TEXT NOT NULL,
    PRIMARY KEY (bot, scope, lang)
);

-- Who has written to a bot: it may write to them, and name them without a hash (API-10).
CREATE TABLE bot_acquaintance (
    bot BIGINT NOT NULL,
    account BIGINT NOT NULL,
    PRIMARY KEY (bot, account)
);

-- From whom somebody wants to hear nothing.
CREATE TABLE block (
    owner BIGINT NOT NULL,
    account BIGINT NOT NULL,
    date BIGINT NOT NULL,
    PRIMARY KEY (owner, account)
);
