"""Everything that a service keeps about a person, as one document: with sealed values opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Field, Model, QuerySet
from django.utils import timezone

from admit_one.masking import mask_codes
from admit_one.messaging import conf
from admit_one.sealing import cipher
from admit_one.sealing.keyring import Sealed, keyring

from . import erasing
from .definition import definition

Document = dict[str, Any]

BATCH = 100
"""Subjects in one query: databases limit how long it may be."""

UNREADABLE = "(its key is not in SEALING_KEYS)"
NOT_SHOWN = "(a keyed hash)"


def document(subjects: Sequence[str], unassigned: Sequence[str] = ()) -> Document:
    """What is kept about these, by table, and what each column means."""
    kept: dict[str, list[Document]] = {}
    means: dict[str, dict[str, str]] = {}
    for model, rows in _rows(subjects, unassigned).items():
        name = str(model._meta.verbose_name)  # noqa: SLF001
        kept[name] = [_shown(row) for _, row in sorted(rows.items())]
        means[name] = dict(_meanings(model))
    return {
        "service": conf.current().service.name,
        "exported_at": _plain(timezone.now()),
        "subscriptions": list(subjects),
        "kept": kept,
        "means": means,
    }


def _rows(
    subjects: Sequence[str], unassigned: Sequence[str]
) -> dict[type[Model], dict[Any, Model]]:
    """The rows of each model by their keys: several subjects may share one, such as an order."""
    rows: dict[type[Model], dict[Any, Model]] = {}
    for part in (*_parts(subjects), *definition().unassigned.rows(unassigned)):
        for row in part:
            rows.setdefault(part.model, {})[row.pk] = row
    return rows


def _parts(subjects: Sequence[str]) -> Iterator[QuerySet[Any]]:
    for start in range(0, len(subjects), BATCH):
        batch = subjects[start : start + BATCH]
        for eraser in erasing.erasers():
            yield from eraser.rows(batch)


def written(kept: Document, *, codes: bool) -> str:
    """The document as JSON for people; codes are masked unless they are asked for."""
    text = json.dumps(kept, indent=2, ensure_ascii=False) + "\n"
    return text if codes else mask_codes(text)


def _shown(row: Model) -> Document:
    return {
        _name(field): _value(row, field)
        for field in row._meta.concrete_fields  # noqa: SLF001
        if field.value_from_object(row) is not None
    }


def _value(row: Model, field: Field[Any, Any]) -> Any:
    value = field.value_from_object(row)
    if not isinstance(value, bytes | memoryview):
        return _plain(value)
    sealed = _sealed(row, field)
    return NOT_SHOWN if sealed is None else _opened(row, sealed, bytes(value))


def _sealed(row: Model, field: Field[Any, Any]) -> Sealed | None:
    ours = (each for each in keyring().sealed if each.model is type(row))
    return next((each for each in ours if each.column == field.name), None)


def _opened(row: Model, sealed: Sealed, value: bytes) -> Any:
    row_id = row.pk if sealed.row == "pk" else getattr(row, sealed.row)
    try:
        text = cipher.unseal(value, sealed.purpose, row_id).decode("utf-8", "replace")
    except cipher.Unsealable:
        return UNREADABLE
    try:
        return json.loads(text) if text.startswith("{") else text
    except ValueError:
        return text


def _plain(value: Any) -> Any:
    """As JSON has it: times in UTC to the second, whatever else as text."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return value if isinstance(value, str | int | float | dict | list) else str(value)


def _meanings(model: type[Model]) -> Iterator[tuple[str, str]]:
    for field in model._meta.concrete_fields:  # noqa: SLF001
        if field.help_text:
            yield _name(field), str(field.help_text)


def _name(field: Field[Any, Any]) -> str:
    """What is sealed in the table is open in the document."""
    return field.name.removeprefix("sealed_")
