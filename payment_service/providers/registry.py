"""The payment providers, by the last part of their addresses."""

from __future__ import annotations

from .provider import Provider
from .stripe import Stripe

PROVIDERS: dict[str, Provider] = {each.name: each for each in (Stripe(),)}
