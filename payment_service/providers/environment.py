"""What the providers read from the environment of the service."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Annotated

from admit_one.environment import Environment, Reads, Wrong, development

MOST = 2
"""Secrets at a time: the one in use and, while it is replaced, the one before."""

SECRET = re.compile(r"whsec_([A-Za-z0-9+/=_-]{32,255})")
FEWEST_CHARACTERS = 8
"""Different ones: of 32 random characters about 25 differ."""

CLIENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""As `admit_one.web.keys.issuing` spells the names of clients."""


def _secrets(text: str) -> list[str]:
    secrets = _parts(text)
    forms = [SECRET.fullmatch(secret) for secret in secrets]
    if len(secrets) > MOST or len(set(secrets)) != len(secrets):
        raise Wrong(f"{len(secrets)}, or the same twice")
    for form in forms:
        if form is None:
            raise Wrong("another form")
        if len(set(form[1])) < FEWEST_CHARACTERS and not development():
            raise Wrong("a secret that can be guessed", "whsec_ and random characters, as Stripe's")
    if find_spec("stripe") is None:
        raise Wrong("none", "the extra payment-service[stripe] to be installed")
    return secrets


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _to_mask(text: str) -> set[str]:
    parts = _parts(text)
    return {form for part in parts for form in (part, part.removeprefix("whsec_"))}


def _client(text: str) -> str:
    if not CLIENT.fullmatch(text):
        raise Wrong("another form")
    return text


WebhookSecrets = Annotated[
    list[str],
    Reads(
        f"1 to {MOST} signing secrets of a webhook endpoint (whsec_ and at least 32 characters), "
        "separated by a comma",
        _secrets,
        secrets=_to_mask,
    ),
]


class ProvidersEnvironment(Environment):
    """The settings of the payment providers; without a provider's secrets, it is off."""

    STRIPE_WEBHOOK_SECRETS: WebhookSecrets = []  # noqa: RUF012 (pydantic copies it)
    """The first is in use; both verify what Stripe sends."""
    STRIPE_CLIENT: Annotated[
        str, Reads("the name of a client: 1 to 64 of a-z, 0-9, '.', '_' and '-'", _client)
    ] = "stripe"
    """The API client that owns what Stripe reports."""
