-- The initial schema, for SQLite and PostgreSQL. Words in capitals and braces are column types that
-- the two spell differently; `m0001_initial.rs` fills them in.
--
-- Times are microseconds since the Unix epoch. Columns of {BYTES} are sealed, but for
-- `event_archives.body`, which is compressed. JSON is text.

-- Settings. Rows are only ever added; the newest one of a table is in force.

CREATE TABLE setting_hosts (
    id {ROW_ID},
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE setting_registries (
    id {ROW_ID},
    username TEXT NOT NULL,
    password {BYTES} NOT NULL,
    registry TEXT NOT NULL,
    registry_dns TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE setting_docker_servers (
    id {ROW_ID},
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    tls {BYTES},
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE setting_headers (
    id {ROW_ID},
    headers {BYTES} NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- An empty secret turns signing off.
CREATE TABLE setting_callback_secrets (
    id {ROW_ID},
    secret {BYTES},
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- A known text, sealed at the first start: opening it tells whether the key is still the same.
CREATE TABLE seal_checks (
    id BIGINT NOT NULL PRIMARY KEY,
    canary {BYTES} NOT NULL
);

-- Numbers that only grow, so that none is given twice even after its row is gone.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

-- Builds. A running build has a lease; a queued one is counted in its owner's lane.

CREATE TABLE builds (
    row_id {ROW_ID},
    id BIGINT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    base_image TEXT NOT NULL,
    target_image TEXT NOT NULL,
    target_name TEXT NOT NULL,
    target_tag TEXT NOT NULL,
    -- Set only while the build is queued or running: no two builds work towards one target.
    active_target TEXT UNIQUE,
    description TEXT NOT NULL,
    -- The folder of its files and logs under the old protocol's /task/.
    work_dir_name TEXT NOT NULL UNIQUE,
    callback_url TEXT NOT NULL,
    owner TEXT NOT NULL DEFAULT '',
    priority BIGINT NOT NULL DEFAULT 0,
    -- JSON; empty for builds of an imported installation.
    limits TEXT,
    -- What it has in common with builds that take about as long.
    similarity_key TEXT NOT NULL DEFAULT '',
    -- When it came to the queue last: its age among its owner's builds.
    queued_at BIGINT NOT NULL DEFAULT 0,
    -- From where it was retried last; empty for the start.
    retried_from TEXT,
    -- Why its last attempt ended without ending the build.
    requeue_reason TEXT,
    -- Attempts begun, and those among them that do not count against the maximum.
    attempt BIGINT NOT NULL,
    handed_back BIGINT NOT NULL,
    worker TEXT,
    lease_until BIGINT,
    engine TEXT,
    cancel_requested BOOLEAN NOT NULL,
    -- The number of its newest event.
    last_event BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    failure TEXT,
    image_id TEXT,
    image_size BIGINT,
    digest TEXT,
    -- Why its image was built rather than reused.
    build_reason TEXT,
    settings_revisions TEXT,
    -- When its files and logs were removed.
    cleaned_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
-- The next build of an owner, and how many of that owner's come before one.
CREATE INDEX builds_by_queue ON builds (state, priority, owner, queued_at, id);
CREATE INDEX builds_by_lease_until ON builds (lease_until);
-- Lists and their searches, the newest first.
CREATE INDEX builds_by_state ON builds (state, id);
CREATE INDEX builds_by_owner ON builds (owner, id);
CREATE INDEX builds_by_id_state_target_image ON builds (id, state, target_image);
-- The build that has waited longest.
CREATE INDEX builds_by_state_updated_at ON builds (state, updated_at);
-- The newest builds that are similar, and the newest of all.
CREATE INDEX builds_by_similarity_key ON builds (similarity_key, state, finished_at);
CREATE INDEX builds_by_state_finished_at ON builds (state, finished_at);
-- What is cleaned up next.
CREATE INDEX builds_by_cleaned_at_finished_at ON builds (cleaned_at, finished_at);

-- What a build was asked to do. Apart from its row, so that lists stay slim.
CREATE TABLE build_requests (
    build_id BIGINT NOT NULL PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    request TEXT NOT NULL,
    spec TEXT NOT NULL,
    passwords {BYTES}
);

-- The Dockerfile of a build's newest attempt.
CREATE TABLE dockerfiles (
    build_id BIGINT NOT NULL PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    text TEXT NOT NULL
);

-- What happened in a build, numbered from 1 over all its attempts.
CREATE TABLE events (
    build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    step TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (build_id, seq)
);
CREATE INDEX events_by_step_kind ON events (build_id, step, kind, seq);

-- The events of one step of a finished build, compressed.
CREATE TABLE event_archives (
    build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    step TEXT NOT NULL,
    body {BYTES} NOT NULL,
    PRIMARY KEY (build_id, first_seq)
);
CREATE INDEX event_archives_by_last_seq ON event_archives (build_id, last_seq);

-- The steps of a build's newest attempt.
CREATE TABLE steps (
    id {ROW_ID},
    build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    attempt BIGINT NOT NULL,
    action TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    duration_ms BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (build_id, action)
);

-- The build plan behind an image in the registry: an equal plan need not be built again. No foreign
-- key: an image outlives the record of its build.
CREATE TABLE plans (
    build_id BIGINT NOT NULL PRIMARY KEY,
    plan_key TEXT NOT NULL,
    engine TEXT NOT NULL,
    -- The build that built the image, where it was reused.
    made_by BIGINT,
    image_name TEXT NOT NULL,
    image_id TEXT NOT NULL,
    image_size BIGINT NOT NULL,
    digest TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX plans_by_plan_key_made_at ON plans (plan_key, made_at);

-- The key under which a caller may repeat a request, and the answer to it.
CREATE TABLE idempotency_keys (
    name TEXT NOT NULL PRIMARY KEY,
    request_hash {BYTES} NOT NULL,
    build_id BIGINT NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    answer TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX idempotency_keys_by_build_id ON idempotency_keys (build_id);

-- The owners who have builds in the queue; the lowest turn of the highest priority is next.
CREATE TABLE lanes (
    priority BIGINT NOT NULL,
    owner TEXT NOT NULL DEFAULT '',
    queued BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    PRIMARY KEY (priority, owner)
);
CREATE INDEX lanes_by_priority_turn ON lanes (priority DESC, turn);

-- Callbacks. A delivery is written with the end of its build; every attempt to deliver it is a row.

CREATE TABLE deliveries (
    id {ROW_ID},
    -- Empty for a test of the receiver.
    build_id BIGINT REFERENCES builds (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    headers {BYTES} NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL,
    -- Attempts made, and how many of them before the present schedule began.
    tries BIGINT NOT NULL,
    schedule_from BIGINT NOT NULL DEFAULT 0,
    -- Empty once nothing more is tried.
    next_at BIGINT,
    result TEXT,
    test BOOLEAN NOT NULL DEFAULT false,
    -- The number of the attempt that is being made, and until when nobody else makes it.
    claim BIGINT,
    claimed_until BIGINT,
    -- The host of the URL.
    receiver TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX deliveries_by_next_at ON deliveries (next_at);
CREATE INDEX deliveries_by_build_id ON deliveries (build_id);
CREATE INDEX deliveries_by_status_updated_at ON deliveries (status, updated_at);
CREATE INDEX deliveries_by_status_id ON deliveries (status, id);

CREATE TABLE delivery_attempts (
    id {ROW_ID},
    delivery_id BIGINT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    request_headers TEXT NOT NULL,
    status INTEGER,
    body TEXT NOT NULL,
    error TEXT,
    UNIQUE (delivery_id, number)
);

-- Images.

CREATE TABLE images (
    id {ROW_ID},
    build_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    tag TEXT NOT NULL,
    kind TEXT NOT NULL,
    image_id TEXT NOT NULL,
    digest TEXT,
    size BIGINT NOT NULL,
    description TEXT NOT NULL,
    ssh BOOLEAN NOT NULL,
    jupyter_lab BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (name, tag, kind)
);

-- What a probe found in an image, under each name it was asked for by.
CREATE TABLE profiles (
    id {ROW_ID},
    image_id TEXT NOT NULL,
    image_name TEXT NOT NULL,
    profile TEXT NOT NULL,
    -- One of an imported installation is shown, but lacks what a plan needs.
    imported BOOLEAN NOT NULL DEFAULT false,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (image_id, image_name)
);
CREATE INDEX profiles_by_image_name ON profiles (image_name);

-- An image's time on an engine, from its pull or build to its removal.
CREATE TABLE image_lifetimes (
    id {ROW_ID},
    image_name TEXT NOT NULL,
    image_type TEXT NOT NULL,
    engine TEXT NOT NULL,
    generated_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    deleted_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX image_lifetimes_by_engine_image_name ON image_lifetimes (engine, image_name);
CREATE INDEX image_lifetimes_by_deleted_at_last_used_at ON image_lifetimes (deleted_at, last_used_at);

-- Engines. A claim locks the row of the engine while it counts what runs there.

CREATE TABLE engines (
    name TEXT NOT NULL PRIMARY KEY,
    -- The revision in force; empty for the engine whose address is among the settings.
    revision BIGINT,
    capacity INTEGER NOT NULL,
    labels TEXT NOT NULL,
    draining BOOLEAN NOT NULL,
    removed_at BIGINT,
    disk TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE engine_revisions (
    id {ROW_ID},
    engine TEXT NOT NULL,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    tls {BYTES},
    capacity INTEGER NOT NULL,
    labels TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX engine_revisions_by_engine ON engine_revisions (engine, id);

-- How one process found one engine when it last checked.
CREATE TABLE engine_health (
    engine TEXT NOT NULL,
    worker TEXT NOT NULL,
    up BOOLEAN NOT NULL,
    since BIGINT NOT NULL,
    checked_at BIGINT NOT NULL,
    given_up_at BIGINT,
    failure TEXT,
    PRIMARY KEY (engine, worker)
);

-- An image that a lost attempt may have left on an engine, until somebody has looked there.
CREATE TABLE orphaned_images (
    id {ROW_ID},
    engine TEXT NOT NULL,
    build_id BIGINT NOT NULL,
    image TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (engine, build_id)
);

-- Processes that share the database.

CREATE TABLE replicas (
    name TEXT NOT NULL PRIMARY KEY,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

-- Work that one process does for all, and until when it is that process's.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    held_until BIGINT NOT NULL
);

-- Rows that were imported from an old installation, so that a second import takes none twice.
CREATE TABLE imported_rows (
    source_table TEXT NOT NULL,
    old_id BIGINT NOT NULL,
    made_at TEXT NOT NULL,
    PRIMARY KEY (source_table, old_id, made_at)
);

-- How many rows a long list has with keys in one span: those whose key shifted right by `span` bits
-- is `block`. Kept by triggers, so that no statement can forget to; read to find a page by number.
CREATE TABLE list_positions (
    list TEXT NOT NULL,
    span BIGINT NOT NULL,
    block BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (list, span, block)
);
