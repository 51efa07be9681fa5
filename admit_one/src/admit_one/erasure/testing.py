"""For tests of services: searches all that the service stores, sealed or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models

from admit_one.sealing import cipher
from admit_one.sealing.keyring import Sealed, keyring

from . import erasing


def found(*texts: str) -> set[str]:
    """The columns in which one of these texts stands, in any case."""
    wanted = [text.lower() for text in texts]
    return {where for where, value in everything() if any(t in value.lower() for t in wanted)}


def everything() -> Iterator[tuple[str, str]]:
    """Every value of every column of every table, sealed ones opened, with where it stands."""
    sealed = {(each.model, each.column): each for each in keyring().sealed}
    for model in apps.get_models():
        about = model._meta  # noqa: SLF001
        for row in model._default_manager.values():  # noqa: SLF001
            for column, value in row.items():
                each = sealed.get((model, column))
                shown = value if each is None or value is None else _unsealed(each, row, about)
                yield f"{about.db_table}.{column}", _text(shown)


def _unsealed(each: Sealed, row: dict[str, Any], about: Any) -> bytes:
    row_id = row[about.pk.attname if each.row == "pk" else each.row]
    return cipher.unseal(row[each.column], each.purpose, row_id)


def _text(value: Any) -> str:
    is_bytes = isinstance(value, bytes | memoryview)
    return bytes(value).decode("latin-1") if is_bytes else str(value)


def not_erased() -> set[type[models.Model]]:
    """The models of which no eraser thinks."""
    nothing = [str(UUID(int=0))]
    parts = (rows for eraser in erasing.erasers() for rows in eraser.rows(nothing))
    return set(apps.get_models()) - {rows.model for rows in parts}
