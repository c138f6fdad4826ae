-- Content in the blob store, each once. The row is there before the object and is gone before it:
-- an object without a row is nobody's.
CREATE TABLE blob (
    id BIGINT PRIMARY KEY,
    -- SHA-256.
    hash BYTEA NOT NULL UNIQUE,
    size BIGINT NOT NULL,
    -- What its first bytes say it is.
    kind BIGINT NOT NULL,
    -- Renditions and uploads that need it. Nobody reads it at 0, and it is removed.
    uses BIGINT NOT NULL
);
CREATE INDEX blob_by_uses ON blob (uses);

-- SHA-256 of each 128 KiB of a blob, one after the other.
CREATE TABLE blob_hashes (
    blob BIGINT PRIMARY KEY,
    hashes BYTEA NOT NULL
);

-- Blobs that are being written.
CREATE TABLE blob_begun (
    id BIGINT PRIMARY KEY,
    begun BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('blob', 0);

-- Photos and documents.
CREATE TABLE file (
    id BIGINT PRIMARY KEY,
    -- What clients are told of it, as JSON of the service's own.
    description TEXT NOT NULL,
    -- Messages and profiles that show it.
    uses BIGINT NOT NULL DEFAULT 0,
    -- Unused, it is kept until then.
    expires BIGINT NOT NULL
);
CREATE INDEX file_by_uses ON file (uses, expires);

-- The forms in which there is a file: a document itself ('') and its thumbnail, sizes of a photo.
CREATE TABLE rendition (
    file BIGINT NOT NULL,
    form TEXT NOT NULL,
    blob BIGINT NOT NULL,
    PRIMARY KEY (file, form)
);

-- What clients are about to say: files in parts. `round` names its objects.
CREATE TABLE upload (
    owner BIGINT NOT NULL,
    file BIGINT NOT NULL,
    is_big BIGINT NOT NULL,
    round BIGINT NOT NULL UNIQUE,
    -- Parts, once that is known.
    total BIGINT,
    bytes BIGINT NOT NULL DEFAULT 0,
    -- Once it is put together.
    blob BIGINT,
    expires BIGINT NOT NULL,
    PRIMARY KEY (owner, file, is_big)
);
CREATE INDEX upload_by_expiry ON upload (expires);
CREATE TABLE upload_part (
    round BIGINT NOT NULL,
    part BIGINT NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (round, part)
);

-- Pictures of an account, of which the newest is shown.
CREATE TABLE profile_photo (
    owner BIGINT NOT NULL,
    photo BIGINT NOT NULL,
    -- Rises with each that is put first.
    place BIGINT NOT NULL,
    PRIMARY KEY (owner, photo)
);
CREATE INDEX profile_photo_by_place ON profile_photo (owner, place);
