-- Permanent auth keys. Temporary ones are never written (PFS-03).
CREATE TABLE auth_key (
    -- auth_key_id: its 64 bits, read as a signed number.
    id         BIGINT PRIMARY KEY,
    -- The first 192 of 256 bytes; the rest must not be kept (CRY-05).
    key        BYTEA  NOT NULL CHECK (length(key) = 192),
    -- First 8 bytes of the SHA-1 of the whole key, which cannot be had from what is kept.
    aux_hash   BYTEA  NOT NULL CHECK (length(aux_hash) = 8),
    -- Unix seconds.
    created    BIGINT NOT NULL,
    first_salt BIGINT NOT NULL,
    dc         BIGINT NOT NULL
);

-- What the client of a key last said in initConnection (SVC-48).
CREATE TABLE connection (
    key_id BIGINT PRIMARY KEY REFERENCES auth_key (id) ON DELETE CASCADE,
    layer  BIGINT NOT NULL,
    data   BYTEA  NOT NULL
);

-- One row: facts of the installation.
CREATE TABLE installation (
    only_row      BIGINT PRIMARY KEY CHECK (only_row = 1),
    server_secret BYTEA  NOT NULL CHECK (length(server_secret) = 32)
);
