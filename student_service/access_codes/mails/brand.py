"""Whose mails they are: the shop's name, its links, and where it answers."""

from __future__ import annotations

from urllib.parse import quote

from django.conf import settings

CODE = "{code}"


def facts(code: str) -> dict[str, str]:
    """What templates may say of the shop; `link` leads to where the code is entered."""
    url: str = settings.MAIL_CODE_URL
    return {
        "shop": settings.MAIL_SHOP_NAME,
        "support": settings.MAIL_SUPPORT,
        # No code, no place for it: a link to where it would be empty is of no use.
        "link": url.replace(CODE, quote(code)) if code else url.partition("#")[0],
        "link_text": url.partition("#")[0],
    }


def reply_to() -> list[str]:
    return [settings.MAIL_REPLY_TO] if settings.MAIL_REPLY_TO else []
