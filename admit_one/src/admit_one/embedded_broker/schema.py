"""The tables of a broker file."""

from __future__ import annotations

APPLICATION = 0x41444D31
"""SQLite's `application_id` ("ADM1"): marks the file as an embedded broker."""

FORMAT = 1
"""Increase it with every change of the tables; a file of another format is refused."""

TABLES = (
    """CREATE TABLE exchange (
        name TEXT PRIMARY KEY, type TEXT NOT NULL, durable INTEGER NOT NULL,
        auto_delete INTEGER NOT NULL, arguments TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE queue (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, durable INTEGER NOT NULL,
        auto_delete INTEGER NOT NULL, owner INTEGER, arguments TEXT NOT NULL,
        used_at REAL NOT NULL, expires REAL
    )""",
    """CREATE TABLE binding (
        exchange TEXT NOT NULL, routing_key TEXT NOT NULL, queue INTEGER NOT NULL,
        PRIMARY KEY (exchange, routing_key, queue)
    ) WITHOUT ROWID""",
    "CREATE TABLE holder (id INTEGER PRIMARY KEY AUTOINCREMENT)",
    """CREATE TABLE consumer (
        id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, holder INTEGER NOT NULL
    )""",
    # holder 0: ready; above: delivered to that holder; below: dead and parked (messages.REASONS).
    # Ids are never reused, so that an old ack cannot hit a new message.
    """CREATE TABLE message (
        id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL,
        holder INTEGER NOT NULL DEFAULT 0, deliveries INTEGER NOT NULL DEFAULT 0,
        expires_at REAL, exchange TEXT NOT NULL, routing_key TEXT NOT NULL,
        properties BLOB NOT NULL, body BLOB NOT NULL
    )""",
    "CREATE INDEX message_by_queue ON message (queue, holder, id)",
    "CREATE INDEX message_by_expiry ON message (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE TABLE topology (version INTEGER NOT NULL)",
    "INSERT INTO topology VALUES (1)",
    """CREATE TRIGGER auto_delete_exchange AFTER DELETE ON binding BEGIN
        DELETE FROM exchange WHERE name = OLD.exchange AND auto_delete
        AND NOT EXISTS (SELECT 1 FROM binding WHERE exchange = OLD.exchange);
    END""",
)

VERSION_TRIGGERS = tuple(
    f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table}"  # noqa: S608  (our own names)
    " BEGIN UPDATE topology SET version = version + 1; END"
    for table in ("exchange", "queue", "binding")
    for event in ("insert", "delete")
)
"""Every process caches routes until this version changes."""

STATEMENTS = TABLES + VERSION_TRIGGERS
