-- What is pinned, shows something or is left to heed is few of many: a dialog's messages are not
-- walked through for it, nor for a page of it.
DROP INDEX message_unheeded;
CREATE INDEX message_unheeded ON message (owner, peer, id)
    WHERE mentioned = 1 AND unheeded = 1;
CREATE INDEX message_pinned ON message (owner, peer, id) WHERE pinned = 1;
CREATE INDEX message_with_kinds ON message (owner, peer, id, kinds) WHERE kinds <> 0;
