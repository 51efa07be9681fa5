"""System checks: each mail can be rendered in each language, and the backend can be trusted.

The Celery worker, which sends the mails, runs them when it starts, and `manage.py check` with all
others. No other process renders a mail or needs a provider's library.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from admit_one.environment import development
from admit_one.masking import mask
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as MayGoOn

from access_codes.models import MailIntent

from . import backends, kinds, templates, wording
from .templates import Unrenderable

EXAMPLE_CODE = "7K3M-Q9TX-2WBD-H5RN"
EXAMPLE = {"plan": "gold", "until": datetime(2026, 1, 2, 3, 4, tzinfo=UTC)}
UNKNOWN = "\u27e8%s\u27e9"
"""What a name that nobody knows becomes in the check."""


@register("mails")
def mails_can_be_rendered(**_: Any) -> list[CheckMessage]:
    """Each kind in each language, with an example."""
    try:
        templates.best_language(settings.MAIL_LANGUAGE)
    except Unrenderable as error:
        return [Error(str(error), id="mails.E001")]
    return [
        Error(fault, hint="correct it in MAIL_TEMPLATES", id="mails.E002")
        for language in templates.languages(templates.roots())
        for kind in kinds.KINDS
        for fault in _faults(kind, language)
    ]


def _faults(kind: MailIntent.Kind, language: str) -> Iterator[str]:
    code = EXAMPLE_CODE if kind.has_code else ""
    try:
        letter = wording.letter(kind.value, language, EXAMPLE, code, unknown=UNKNOWN)
    except Unrenderable as error:
        yield str(error)
        return
    before, _, after = UNKNOWN.partition("%s")
    for part in letter.subject, letter.text, letter.html:
        if before in part:
            name = part.partition(before)[2].partition(after)[0]
            yield f"{language}/{kind.value}: expected no name that nobody knows, got {name}"
            return


@register("mails")
def backend_can_be_trusted(**_: Any) -> list[CheckMessage]:
    """It hands mails over, and can tell what became of them."""
    path = settings.MAIL_BACKEND
    if not path:
        return []
    try:
        backends.load(path)
    except Exception as error:  # noqa: BLE001 (whatever it misses)
        return [Error(f"EMAIL_BACKEND={path} cannot be used: {mask(str(error))}", id="mails.E003")]
    if path in backends.DELIVER_NOTHING:
        kind = MayGoOn if development() else Error
        return [kind(f"EMAIL_BACKEND={path} delivers no mail", id="mails.E004")]
    if why := backends.why_it_cannot_tell(path):
        return [MayGoOn(f"EMAIL_BACKEND={path}: {why}", id="mails.W001")]
    return []
