"""The ids of subscriptions and orders."""

from __future__ import annotations

from typing import Any
from uuid import UUID


def as_id(value: Any) -> str:
    """A UUID as the API writes it; SQLite stores it without hyphens."""
    return str(UUID(str(value)))
