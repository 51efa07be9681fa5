"""What each kind of mail says, in each language that is shipped."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from access_codes.mails import kinds, sending, templates, wording
from access_codes.mails.composing import Letter
from access_codes.models import MailIntent
from admit_one.messaging.testing import an_envelope, deliver
from pytest_django import Settings
from shared_contracts.events import UserSubscribed

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, in_clear

CODE = "7K3M-Q9TX-2WBD-H5RN"
FACTS = {"plan": "gold", "until": datetime(2026, 1, 31, 8, 5, tzinfo=UTC)}
Kind = MailIntent.Kind
SHIPPED = list(itertools.product(["en", "de"], Kind))


def a_letter(kind: Kind, language: str | None = None, **facts: object) -> Letter:
    return wording.letter(kind.value, language, FACTS | facts, CODE if kind.has_code else "")


@pytest.mark.parametrize(("language", "kind"), SHIPPED)
def test_each_kind_says_all_in_its_text_and_its_html(language: str, kind: Kind) -> None:
    letter = a_letter(kind, language)

    for part in letter.text, letter.html:
        assert (CODE in part) == kind.has_code
        assert "gold" in part
        assert "Admit One" in part
    assert f'<html lang="{language}">' in letter.html
    assert letter.subject


def test_each_kind_of_a_language_is_another_text() -> None:
    texts = {a_letter(kind, language).text for language, kind in SHIPPED}

    assert len(texts) == len(SHIPPED)


def test_the_end_of_a_code_is_written_as_the_language_has_it() -> None:
    assert "31 January 2026, 08:05 UTC" in a_letter(Kind.EXPIRING_SOON, "en").text
    assert "31.01.2026, 08:05 Uhr (UTC)" in a_letter(Kind.EXPIRING_SOON, "de").text


@pytest.mark.parametrize(("language", "kind"), SHIPPED)
def test_no_plan_and_no_shop_can_inject_markup(
    settings: Settings, language: str, kind: Kind
) -> None:
    settings.MAIL_SHOP_NAME = settings.MAIL_SUPPORT = "<b>shop&"
    settings.MAIL_CODE_URL = 'https://shop.example/"><script>'

    html = a_letter(kind, language, plan="<i>gold").html

    assert "<b>" not in html
    assert "<i>" not in html
    assert "<script" not in html
    assert "&lt;b&gt;shop&amp;" in html
    assert a_letter(kind, language).text.count("<b>shop&") == 2


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_link_leads_to_where_the_code_is_entered(settings: Settings, language: str) -> None:
    settings.MAIL_CODE_URL = "https://shop.example/enter#code={code}"

    letter = a_letter(Kind.CODE, language)

    assert f"https://shop.example/enter#code={CODE}\n" in letter.text
    assert f'href="https://shop.example/enter#code={CODE}"' in letter.html
    assert ">https://shop.example/enter<" in letter.html


@pytest.mark.parametrize(
    ("tag", "default", "language"),
    [
        ("de", "en", "de"),
        ("de-AT", "en", "de"),
        ("de-Latn-CH-1996", "en", "de"),
        ("fr", "en", "en"),
        ("fr", "de-CH", "de"),
        (None, "de", "de"),
        ("d", "en", "en"),
    ],
)
def test_a_tag_gets_the_language_that_fits_best(
    settings: Settings, tag: str | None, default: str, language: str
) -> None:
    settings.MAIL_LANGUAGE = default

    assert templates.best_language(tag) == language


@pytest.mark.django_db
def test_a_mail_is_in_the_language_of_its_subscription(mailbox: Mailbox) -> None:
    deliver(
        an_envelope(UserSubscribed, email="ada@example.com", language="de-AT"),
        an_envelope(UserSubscribed, email="bob@example.com", language="fr"),
    )

    sending.send_due_mails(always)

    german, english = mailbox.mails
    assert german["Subject"] == "Ihr Zugangscode"
    assert "Ihr Zugangscode lautet:" in in_clear(german)
    assert english["Subject"] == "Your access code"


@pytest.mark.django_db
def test_answers_go_to_the_shop(settings: Settings, mailbox: Mailbox) -> None:
    settings.MAIL_REPLY_TO = "Help <help@shop.example>"
    deliver(an_envelope(UserSubscribed))

    sending.send_due_mails(always)

    [mail] = mailbox.mails
    assert mail["Reply-To"] == "Help <help@shop.example>"


def test_each_kind_is_in_the_table() -> None:
    assert set(kinds.KINDS) == set(Kind)
