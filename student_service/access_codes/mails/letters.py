"""Composes the mails of a run; what is the same in many of them is composed once.

The first mail of a kind, language and plan is composed as a whole. The second one shows that there
are more, and makes a form for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from admit_one.contract.fields import mailable
from django.conf import settings

from access_codes.models import MailIntent

from . import forms, kinds, wording
from .composing import Mail, compose
from .forms import Form, Values

MOST_FORMS = 100
"""Kinds of mails that are kept in memory: plans have any name, so there may be any number."""

Key = tuple[str, str | None, str, str]


class Letters:
    """Several threads may use it at once."""

    def __init__(self) -> None:
        self._forms: dict[Key, Form | None] = {}
        self._seen: set[Key] = set()

    def compose(self, intent: MailIntent) -> Mail:
        """The mail of this row, with the code as it is now.

        Raises `ValueError` if the address cannot be used in a mail, `Unsealable` if it shows a code
        whose key is gone, and `Unrenderable`.
        """
        code = intent.access_code.code if intent.has_code else ""
        recipient = mailable(intent.address)
        name, _, domain = intent.message_id.strip("<>").partition("@")
        values, facts = Values(code, recipient, name), kinds.facts(intent)
        # Other backends take a message, and not its bytes.
        if values.fit and not settings.MAIL_BACKEND and not kinds.of(intent).facts(intent):
            key = (intent.kind, intent.access_code.language, facts["plan"], domain)
            if form := self._form(key, facts):
                wire = form.filled(values, forms.now())
                return Mail(recipient, wire, message=None, secrets=(code,))
        letter = wording.letter(intent.kind, intent.access_code.language, facts, code)
        return compose(letter, address=recipient, message_id=intent.message_id)

    def _form(self, key: Key, facts: Mapping[str, Any]) -> Form | None:
        """Nothing for the first mail of a key, and for one whose mails have no form."""
        if key in self._forms:
            return self._forms[key]
        if key not in self._seen:
            if len(self._seen) < MOST_FORMS:
                self._seen.add(key)
            return None
        kind, language, _, domain = key

        def composed(values: Values) -> bytes:
            letter = wording.letter(kind, language, facts, values.code)
            return compose(
                letter, address=values.address, message_id=f"<{values.name}@{domain}>"
            ).wire

        try:
            form = forms.form_of(composed)
        except Exception:  # noqa: BLE001 (a template that fails for the marks may do for mails)
            form = None
        self._forms[key] = form
        return form
