"""The tables of the bare loop and of the textbook way, with similar columns and indexes as ours."""

from __future__ import annotations

MESSAGES = """
CREATE TABLE outbox (
    id bigserial PRIMARY KEY,
    event_id varchar(255) NOT NULL,
    type varchar(255) NOT NULL,
    subject varchar(255) NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
);
CREATE INDEX outbox_unsent ON outbox (created_at, id) WHERE published_at IS NULL;
CREATE INDEX outbox_subject ON outbox (subject);
CREATE TABLE inbox (
    id bigserial PRIMARY KEY,
    source varchar(255) NOT NULL,
    event_id varchar(255) NOT NULL,
    type varchar(255) NOT NULL,
    subject varchar(255) NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (event_id, source)
);
"""

PAYMENT = """
CREATE TABLE subscription (
    id uuid PRIMARY KEY,
    user_id varchar(64) NOT NULL,
    email varchar(254) NOT NULL,
    plan varchar(64) NOT NULL,
    amount bigint NOT NULL,
    currency varchar(3) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    access_code text
);
CREATE INDEX subscription_of_user ON subscription (user_id, id);
CREATE INDEX subscription_waiting ON subscription (created_at) WHERE access_code IS NULL;
"""

STUDENT = """
CREATE TABLE access_code (
    subscription_id uuid PRIMARY KEY,
    user_id varchar(64) NOT NULL,
    plan varchar(64) NOT NULL,
    code text NOT NULL UNIQUE,
    issued_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE mail_intent (
    id uuid PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES access_code,
    message_id varchar(255) NOT NULL,
    recipient varchar(254) NOT NULL,
    state varchar(16) NOT NULL DEFAULT 'pending',
    created_at timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz DEFAULT now()
);
CREATE INDEX mail_intent_open ON mail_intent (next_attempt_at, id)
    WHERE next_attempt_at IS NOT NULL;
"""

IN_PAYMENT = PAYMENT + MESSAGES
IN_STUDENT = STUDENT + MESSAGES
