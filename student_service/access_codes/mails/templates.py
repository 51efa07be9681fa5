"""Finds and renders the templates of mails: a shop's own, in MAIL_TEMPLATES, before ours.

A kind in a language is a text and perhaps its HTML beside it. Both come from one folder, so that
a shop's own text never gets our HTML. Any other template there, such as `layout.html`, takes the
place of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template import Context, Engine

OURS = Path(__file__).parent.parent / "templates" / "mails"

Roots = tuple[Path, ...]


class Unrenderable(Exception):
    """A template is missing or broken; the text says which, and how."""


def roots() -> Roots:
    """The folders that are searched, in this order."""
    return (settings.MAIL_TEMPLATES, OURS) if settings.MAIL_TEMPLATES else (OURS,)


@cache
def languages(folders: Roots) -> Sequence[str]:
    """Those in which there is the text of any mail with a code."""
    return sorted({text.parent.name for root in folders for text in root.glob("*/code.txt")})


def best_language(tag: str | None) -> str:
    """The language that fits the tag best, or else MAIL_LANGUAGE. Raises `Unrenderable`.

    `de` fits `de-AT` if nothing fits better (RFC 4647, section 3.4).
    """
    known = {name.lower(): name for name in languages(roots())}
    for wanted in (tag or "", settings.MAIL_LANGUAGE):
        parts = wanted.lower().split("-")
        while parts:
            if language := known.get("-".join(parts)):
                return language
            parts.pop()
    raise Unrenderable(f"MAIL_LANGUAGE: expected one of {', '.join(known.values())}")


def has_html(name: str) -> bool:
    """Whether there is HTML beside the text `name`, such as `en/code`."""
    return _has_html(roots(), name)


@cache
def _has_html(folders: Roots, name: str) -> bool:
    texts = (root / f"{name}.txt" for root in folders)
    text = next((path for path in texts if path.is_file()), None)
    return text is not None and text.with_suffix(".html").is_file()


def render(name: str, given: Mapping[str, Any], unknown: str = "") -> str:
    """The template of this name. What it names and is not `given` becomes `unknown`."""
    engine = _engine(roots(), name.endswith(".html"), unknown)
    return engine.get_template(name).render(Context(dict(given), autoescape=engine.autoescape))


@cache
def _engine(folders: Roots, autoescape: bool, unknown: str) -> Engine:
    """It reads each template once, and escapes in HTML only."""
    return Engine([*map(str, folders)], autoescape=autoescape, string_if_invalid=unknown)
