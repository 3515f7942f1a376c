"""The tables of the history database. What `docs/reference/history.md` says of them holds for one FORMAT."""

from typing import Final

FORMAT: Final = 1
"""Each has a file of its own, so that two versions of wherry can share a folder."""
DATABASE: Final = f"history-{FORMAT}.sqlite"
MORE: Final = """
CREATE TABLE node_pulls (
    call TEXT PRIMARY KEY, at REAL NOT NULL, pod TEXT NOT NULL, container TEXT NOT NULL, node TEXT NOT NULL,
    seconds REAL NOT NULL, waiting REAL, size INTEGER, present INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE pod_starts (
    call TEXT PRIMARY KEY, at REAL NOT NULL, pod TEXT NOT NULL, node TEXT NOT NULL, scheduled REAL, initialized REAL,
    started REAL NOT NULL, ready REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE kubelet_pulls (
    call TEXT NOT NULL, place INTEGER NOT NULL, at REAL NOT NULL, node TEXT NOT NULL, began REAL NOT NULL,
    size TEXT NOT NULL, count INTEGER NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (call, place)
) WITHOUT ROWID;
"""
"""Tables that a database of this format got later; one without them is given them when it is opened."""
SCHEMA: Final = f"""
CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    at REAL NOT NULL,
    machine TEXT NOT NULL,
    command TEXT NOT NULL,
    ok INTEGER NOT NULL,
    unchanged INTEGER NOT NULL,
    seconds REAL NOT NULL,
    hits INTEGER NOT NULL,
    misses INTEGER NOT NULL,
    cpu REAL NOT NULL,
    memory INTEGER NOT NULL,
    compiler_cpu REAL NOT NULL,
    compiler_memory INTEGER NOT NULL,
    sent INTEGER,
    start REAL,
    revision TEXT NOT NULL,
    go TEXT NOT NULL,
    document TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX calls_by_time ON calls (at);
CREATE TABLE images (
    call TEXT NOT NULL,
    place INTEGER NOT NULL,
    at REAL NOT NULL,
    name TEXT NOT NULL,
    platform TEXT NOT NULL,
    digest TEXT NOT NULL,
    root TEXT NOT NULL,
    pulled INTEGER,
    unpacked INTEGER,
    base INTEGER,
    program INTEGER,
    PRIMARY KEY (call, place)
) WITHOUT ROWID;
CREATE INDEX images_by_name ON images (name, platform, at);
CREATE INDEX images_by_digest ON images (digest);
CREATE TABLE layers (digest TEXT PRIMARY KEY, unpacked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE packages (
    digest TEXT NOT NULL, path TEXT NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (digest, path)
) WITHOUT ROWID;
CREATE TABLE steps (
    call TEXT NOT NULL, place INTEGER NOT NULL, at REAL NOT NULL, name TEXT NOT NULL, cached INTEGER NOT NULL,
    seconds REAL NOT NULL, PRIMARY KEY (call, place)
) WITHOUT ROWID;
CREATE TABLE budgets (
    call TEXT NOT NULL, place INTEGER NOT NULL, at REAL NOT NULL, what TEXT NOT NULL, image TEXT NOT NULL,
    platform TEXT NOT NULL, bound INTEGER NOT NULL, actual INTEGER NOT NULL, ok INTEGER NOT NULL,
    PRIMARY KEY (call, place)
) WITHOUT ROWID;
CREATE TABLE scans (
    call TEXT PRIMARY KEY, at REAL NOT NULL, symbol INTEGER NOT NULL, package INTEGER NOT NULL, module INTEGER NOT NULL,
    programs INTEGER NOT NULL, unscanned INTEGER NOT NULL, others INTEGER NOT NULL, age REAL
) WITHOUT ROWID;
CREATE TABLE containers (
    call TEXT PRIMARY KEY, at REAL NOT NULL, pod TEXT NOT NULL, container TEXT NOT NULL, reason TEXT NOT NULL,
    restarts INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE journals (file TEXT PRIMARY KEY, done INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {FORMAT};
{MORE}"""
TABLES: Final = ("images", "steps", "budgets", "scans", "containers", "node_pulls", "pod_starts", "kubelet_pulls")
"""Those whose rows go with their call."""
