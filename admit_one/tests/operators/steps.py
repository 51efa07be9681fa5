"""What the tests of the pages for operators do again and again."""

from __future__ import annotations

import re
from html import unescape

LIST = "/messaging/setaside/"


def text(answer) -> str:
    """What stands on a page, as one line."""
    assert answer.status_code == 200, answer.status_code
    body = re.sub(r"(?s)<(style|script).*?</\1>", "", answer.content.decode())
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def order(client, verb, choice, **data):
    return text(client.post(f"{LIST}order/{verb}/?{choice}", data))
