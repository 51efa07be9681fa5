"""The database's clock, the only one that all processes share."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now


def now_plus(seconds: float) -> models.Expression:
    """`seconds` from now by the database's clock."""
    return models.ExpressionWrapper(
        Now() + timedelta(seconds=seconds), output_field=models.DateTimeField()
    )
