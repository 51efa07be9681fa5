"""The mailbox over HTTP: a page for people, JSON for programs.

GET /                         all mails
GET /mails/000001             one mail: rendered, as plain text, and its source
GET /api/messages             all mails as JSON, newest first; ?to= selects a recipient,
                              ?after=000001 only later mails
GET /api/count                the number of mails
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tools.system.ports import LOCAL

from .mailbox import Mail, Mailbox

PAGE = Template(Path(__file__).with_name("page.html").read_text())
HTML = "text/html; charset=utf-8"
NO_MAIL = '<p class="empty">No mail yet. The first one will appear here when it arrives.</p>'
# The content of a mail is shown, but runs no scripts and loads nothing.
MAIL_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; frame-src 'self'"
)


def page_server(mailbox: Mailbox, port: int) -> ThreadingHTTPServer:
    """A server for the pages of `mailbox`; bound, but not serving yet."""
    handler = type("Handler", (Pages,), {"mailbox": mailbox})
    return ThreadingHTTPServer((LOCAL, port), handler)


class Pages(BaseHTTPRequestHandler):
    mailbox: Mailbox

    def do_GET(self) -> None:
        # Against DNS rebinding: another site must not read mails through a name of its own.
        if self.headers.get("Host", "").partition(":")[0] not in {LOCAL, "localhost"}:
            self._answer(403, "text/plain", b"this mailbox can only be read from this machine")
            return
        url = urlsplit(self.path)
        match url.path.strip("/").split("/"):
            case [""]:
                self._page("Mailbox", _list(self.mailbox.mails()))
            case ["mails", mail_id]:
                self._mail(mail_id, lambda mail: self._page(mail["subject"], _reader(mail)))
            case ["mails", mail_id, "html"]:
                self._mail(
                    mail_id,
                    lambda mail: self._answer(200, HTML, mail["html"].encode(), MAIL_POLICY),
                )
            case ["mails", mail_id, "source"] if (
                source := self.mailbox.source(mail_id)
            ) is not None:
                self._answer(200, "text/plain; charset=utf-8", source)
            case ["api", "messages"]:
                query = parse_qs(url.query)
                wanted, [after] = query.get("to"), query.get("after", ["0"])[-1:]
                mails = self.mailbox.mails(int(after) if after.isdecimal() else 0)
                self._json([mail for mail in mails if not wanted or mail["to"] in wanted])
            case ["api", "count"]:
                self._json({"count": self.mailbox.count})
            case _:
                self._answer(404, "text/plain", b"no such page")

    def _mail(self, mail_id: str, show: Callable[[Mail], None]) -> None:
        mail = self.mailbox.mail(mail_id)
        if mail is None:
            self._answer(404, "text/plain", b"no such mail")
        else:
            show(mail)

    def _page(self, title: str, content: str) -> None:
        page = PAGE.substitute(title=escape(title), content=content, count=self.mailbox.count)
        self._answer(200, HTML, page.encode(), PAGE_POLICY)

    def _json(self, value: object) -> None:
        self._answer(200, "application/json", json.dumps(value).encode())

    def _answer(
        self, status: int, kind: str, body: bytes, policy: str = "default-src 'none'"
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: polling clients would fill the log."""


def _list(mails: list[Mail]) -> str:
    if not mails:
        return NO_MAIL
    rows = "".join(
        f'<li><a href="/mails/{mail["id"]}"><b>{escape(mail["subject"])}</b>'
        f"<span>{escape(mail['to'])}</span>"
        f'<time datetime="{mail["received_at"]}">{mail["received_at"][11:19]} UTC</time></a></li>'
        for mail in mails
    )
    return f'<ol class="mails">{rows}</ol>'


def _reader(mail: Mail) -> str:
    facts = "".join(
        f"<dt>{name}</dt><dd>{escape(mail[name.lower()])}</dd>" for name in ("From", "To")
    )
    path = f"/mails/{mail['id']}"
    html = f'<iframe sandbox title="the mail" src="{path}/html"></iframe>' if mail["html"] else ""
    return (
        f'<p><a href="/">← all mails</a></p><h2>{escape(mail["subject"])}</h2><dl>{facts}</dl>'
        f"{html}<details{'' if html else ' open'}><summary>As plain text</summary>"
        f"<pre>{escape(mail['text'])}</pre></details>"
        f'<p class="quiet"><a href="{path}/source">Source</a> · {mail["received_at"][:19]} UTC</p>'
    )
