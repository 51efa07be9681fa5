"""What a mail says: its subject, text and HTML, from the templates of its kind and language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from admit_one.masking import harmless, hiding

from . import brand, templates
from .composing import Letter
from .templates import Unrenderable

LONGEST = 300
"""Characters of an error that are kept: some show all that a template was given."""
SUBJECT = "Subject:"
"""How the first line of a text begins."""


def letter(
    kind: str, tag: str | None, facts: Mapping[str, Any], code: str = "", *, unknown: str = ""
) -> Letter:
    """The letter of this kind in the language that fits the tag, with the code, if there is one.

    What a template names and nobody knows becomes `unknown`. Raises `Unrenderable`.
    """
    language = templates.best_language(tag)
    given = {**brand.facts(code), **facts, "code": code, "language": language}
    try:
        return _letter(f"{language}/{kind}", given, code, unknown)
    except Unrenderable:
        raise
    except Exception as error:  # noqa: BLE001 (a shop's own template may raise anything)
        with hiding([code] if code else []):
            why = harmless(repr(error))[:LONGEST]
        raise Unrenderable(f"the template {language}/{kind} fails: {why}") from None


def _letter(name: str, given: Mapping[str, Any], code: str, unknown: str) -> Letter:
    first, _, text = templates.render(f"{name}.txt", given, unknown).partition("\n")
    subject = first.removeprefix(SUBJECT).strip()
    if not first.startswith(SUBJECT) or not subject:
        raise Unrenderable(f"{name}.txt: expected `{SUBJECT} …` as its first line")
    html = ""
    if templates.has_html(name):
        html = templates.render(f"{name}.html", {**given, "subject": subject}, unknown)
    if code not in text or (html and code not in html):
        raise Unrenderable(f"{name}: expected the code in its text and its HTML")
    return Letter(subject, f"{text.strip()}\n", html, secrets=(code,) if code else ())
