"""Reads the mails that have arrived."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tools import rest

CODE = re.compile(r"^\s*((?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4})\s*$", re.MULTILINE)


@dataclass(frozen=True)
class ReceivedMail:
    """One mail; `codes` are those on a line of their own in its text."""

    to: str
    message_id: str
    codes: tuple[str, ...]


class MailboxClient:
    """The mail catcher at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._last = "0"
        self._known: dict[str, list[ReceivedMail]] = defaultdict(list)

    def mails(self, to: str) -> list[ReceivedMail]:
        """The mails to one address."""
        return [_mail(message) for message in self._get(f"/api/messages?to={quote(to)}")]

    def by_recipient(self) -> dict[str, list[ReceivedMail]]:
        """All mails. Only those since the last call are requested, as there may be many."""
        for message in reversed(self._get(f"/api/messages?after={self._last}")):
            self._known[message["to"]].append(_mail(message))
            self._last = message["id"]
        return self._known

    def _get(self, path: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = rest.get(self._url + path)
        return messages


def _mail(message: dict[str, Any]) -> ReceivedMail:
    return ReceivedMail(message["to"], message["message_id"], tuple(CODE.findall(message["text"])))
