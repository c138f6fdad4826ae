-- How many messages of a dialog are in the box: every page of a history says it.
ALTER TABLE dialog ADD COLUMN messages BIGINT NOT NULL DEFAULT 0;
UPDATE dialog SET messages = (SELECT count(*) FROM message
    WHERE message.owner = dialog.owner AND message.peer = dialog.peer);
