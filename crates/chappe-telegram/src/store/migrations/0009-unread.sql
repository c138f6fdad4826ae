-- What is left to heed is few of many: a dialog's messages are not walked through for it.
CREATE INDEX message_unheeded ON message (owner, peer) WHERE mentioned = 1 AND unheeded = 1;

-- Whose a message is stands in the index, so that unread ones are counted there alone.
DROP INDEX message_by_peer;
CREATE INDEX message_by_peer ON message (owner, peer, id, sender);
