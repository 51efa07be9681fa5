"""What the service reads from its environment about its mails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from email.utils import parseaddr, quote
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from admit_one.contract.languages import language_tag
from admit_one.environment import (
    Environment,
    HostName,
    MailAddresses,
    MailServer,
    MailUrl,
    Reads,
    Sender,
    Words,
    Wrong,
    development,
    whole,
)
from admit_one.masking import SHORTEST_SECRET
from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
"""Django's own. Ours is better: it tells a mail that was lost from one that may have arrived."""

SERVER = "smtp://[user:password@]host:port, smtp+tls:// or smtp+ssl://"
ANYMAIL = 'a JSON object of Anymail\'s settings, such as {"POSTMARK_SERVER_TOKEN": "…"}'
MOST_CONNECTIONS = 8
"""If a worker dies, so many mails are in doubt."""
CODE_PLACE = "{code}"
PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")
WEBHOOKS = ("mailgun", "postmark")
UNSAFE = {
    "DEBUG_API_REQUESTS": "it prints codes",
    "IGNORE_RECIPIENT_STATUS": "a refused recipient counts as sent",
}
"""Settings of Anymail that are refused, and why."""


def _backend(text: str) -> str:
    if not PATH.fullmatch(text):
        raise Wrong("something else")
    if text.startswith("anymail.") and find_spec("anymail") is None:
        raise Wrong("none", "the extra student-service[anymail] to be installed for such a backend")
    return text


def _provider(text: str) -> dict[str, Any]:
    try:
        provider = json.loads(text)
    except ValueError:
        raise Wrong("something else") from None
    if not isinstance(provider, dict):
        raise Wrong("something else")
    for name, value in provider.items():
        if name in UNSAFE and value:
            raise Wrong(f"{name}: {UNSAFE[name]}", "Anymail's other settings")
        if SECRET_NAME.search(name) and isinstance(value, str):
            _refuse_short(name, value)
    return provider


def _refuse_short(name: str, secret: str) -> None:
    """One that is an ordinary word cannot be masked in logs, and can be guessed."""
    if len(secret) < SHORTEST_SECRET and not development():
        raise Wrong("a shorter one", f"{name} to have at least {SHORTEST_SECRET} characters")


def _secrets(text: str) -> Iterator[str]:
    try:
        provider = _provider(text)
    except Wrong:
        yield text
        return
    for name, secret in provider.items():
        if SECRET_NAME.search(name):
            for each in secret if isinstance(secret, list) else [secret]:
                yield from {str(each), str(each).partition(":")[2]}


def _code_url(text: str) -> str:
    """With the code in the fragment at most: no browser sends that, and no server logs it."""
    parts = urlsplit(text)
    if parts.scheme not in {"https", "http"} or not parts.hostname or not text.isprintable():
        raise Wrong("something else")
    if parts.username is not None:
        raise Wrong("a login in it")
    if CODE_PLACE in text.partition("#")[0]:
        raise Wrong(
            "it before the #", f"{CODE_PLACE} behind a # only, where no server sees the code"
        )
    return text


def _line(text: str) -> str:
    if not text.isprintable():
        raise Wrong("something else")
    return text


def _tag(text: str) -> str:
    tag = language_tag(text)
    if tag is None:
        raise Wrong("something else")
    return tag


def _folder(text: str) -> Path:
    folder = Path(text)
    if not folder.is_absolute() or not folder.is_dir():
        raise Wrong("something else")
    return folder


Backend = Annotated[str, Reads("the dotted path of a backend of Django's mails", _backend)]
Provider = Annotated[dict[str, Any], Reads(ANYMAIL, _provider, secrets=_secrets)]
CodeUrl = Annotated[str, Reads("https://host/path, perhaps with #{code}", _code_url)]
Text = Annotated[str, Reads("one line of text", _line)]
LanguageTag = Annotated[str, Reads("a language tag, such as en or de-AT", _tag)]
Folder = Annotated[Path | None, Reads("the absolute path of a folder", _folder)]


class MailEnvironment(Environment):
    """Where mails go, what they say, and what is done if they do not arrive."""

    EMAIL_BACKEND: Backend = ""
    """Another backend of Django's than our own SMTP, such as one of Anymail."""
    EMAIL_URL: MailUrl = Field(default=None, validate_default=True)
    ANYMAIL: Provider = Field(default_factory=dict)
    """Anymail's settings, with the provider's keys."""
    MAIL_WEBHOOKS: Words = Field(default_factory=list)
    """The providers whose webhooks this service takes."""
    EMAIL_FROM: Sender
    EMAIL_TIMEOUT: Annotated[int, whole(2, 120)] = 8
    """Seconds that the mail server has for one mail up to its end, without the final answer."""
    EMAIL_ACCEPT_TIMEOUT: Annotated[int, whole(1, 900)] = 300
    """Seconds that it has for the final answer: it may filter before it accepts a mail."""
    EMAIL_CONNECTIONS: Annotated[int, whole(1, MOST_CONNECTIONS)] = MOST_CONNECTIONS
    """Connections to the mail server at a time, at most; each has one mail in hand."""
    EMAIL_HELO_NAME: HostName = ""
    """The name by which we greet it; empty: this machine's public name, or else its address."""
    MAIL_WHEN_UNKNOWN: Literal["send_again", "leave_to_operator"] = "send_again"
    """When a mail may or may not have been sent: risk a duplicate, or let an operator decide."""
    MAIL_DAILY_CAP: Annotated[int, whole(1, 1_000)] = 20
    """Mails to one recipient in one day."""
    EXPIRING_SOON_DAYS: Annotated[int, whole(0, 365)] = 7
    """Days before its code expires on which a user is warned; 0: never."""
    TEST_MAIL_ADDRESSES: MailAddresses = frozenset()
    """Where mails about what was paid with a test key may go; `@example.org` is a whole domain."""
    MAIL_SHOP_NAME: Text = ""
    """Who the mails are from, in header and text; empty: the name in EMAIL_FROM."""
    MAIL_REPLY_TO: Sender = ""
    MAIL_SUPPORT: Text = ""
    """Where users get help: an address or a link."""
    MAIL_CODE_URL: CodeUrl = ""
    """Where a code is entered."""
    MAIL_LANGUAGE: LanguageTag = "en"
    """Of mails to users for whom no language is known, or one without templates."""
    MAIL_TEMPLATES: Folder = None
    """Templates that override ours."""

    @field_validator("EMAIL_URL", mode="wrap")
    @classmethod
    def _needed_for_smtp(
        cls, url: Any, parse: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> MailServer | None:
        if url is not None:
            return cast("MailServer", parse(url))
        if info.data.get("EMAIL_BACKEND", "") in {"", SMTP_BACKEND}:
            raise Wrong("nothing", SERVER)
        return None

    @field_validator("MAIL_WEBHOOKS")
    @classmethod
    def _can_be_trusted(cls, providers: list[str], info: ValidationInfo) -> list[str]:
        given = info.data.get("ANYMAIL", {})
        for provider in providers:
            if provider not in WEBHOOKS:
                raise Wrong("something else", f"some of {', '.join(WEBHOOKS)}")
            if ":" not in str(given.get("WEBHOOK_SECRET", "")):
                raise Wrong("none", 'ANYMAIL to have a "WEBHOOK_SECRET" of the form user:password')
            if provider == "mailgun" and not given.get("MAILGUN_WEBHOOK_SIGNING_KEY"):
                raise Wrong("none", 'ANYMAIL to have a "MAILGUN_WEBHOOK_SIGNING_KEY"')
        return providers

    @property
    def shop_name(self) -> str:
        return self.MAIL_SHOP_NAME or parseaddr(self.EMAIL_FROM)[0] or self._domain

    @property
    def sender(self) -> str:
        """The sender under the shop's name, which may have letters that EMAIL_FROM may not."""
        if not self.MAIL_SHOP_NAME:
            return self.EMAIL_FROM
        return f'"{quote(self.MAIL_SHOP_NAME)}" <{parseaddr(self.EMAIL_FROM)[1]}>'

    @property
    def _domain(self) -> str:
        return parseaddr(self.EMAIL_FROM)[1].rpartition("@")[2]

    @property
    def anymail(self) -> dict[str, Any]:
        """Anymail's settings; its requests have the time that the mail server has."""
        timeout = (self.EMAIL_TIMEOUT, self.EMAIL_ACCEPT_TIMEOUT)
        return {"REQUESTS_TIMEOUT": timeout, **self.ANYMAIL}
