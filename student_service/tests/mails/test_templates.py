"""A shop's own templates come before ours, and a broken one is found before a mail needs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from access_codes.mails import checks, sending, templates, wording
from access_codes.models import MailIntent
from admit_one.masking import mask
from pytest_django import Settings

from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always, in_clear, make_due, subscribe

CODE = "7K3M-Q9TX-2WBD-H5RN"
OURS = "Your access code is:"


class Shop:
    """A folder of templates. Another one each time: what was read once is kept."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = settings.MAIL_TEMPLATES = folder

    def has(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")

    def faults(self) -> list[str]:
        return [str(fault.msg) for fault in checks.mails_can_be_rendered()]


@pytest.fixture
def shop(tmp_path: Path, settings: Settings) -> Shop:
    return Shop(tmp_path, settings)


def text_of(kind: str = "code", language: str = "en") -> str:
    return wording.letter(kind, language, {"plan": "gold"}, CODE).text


def test_what_is_shipped_passes_the_check() -> None:
    assert checks.mails_can_be_rendered() == []


def test_a_shops_text_replaces_ours_for_its_kind_and_language(shop: Shop) -> None:
    shop.has("en/code.txt", "Subject: Hi from {{ shop }}\n\n{{ code }} & {{ plan }}")

    letter = wording.letter("code", "en", {"plan": "<gold>"}, CODE)

    assert letter.subject == "Hi from Admit One"
    assert letter.text == f"{CODE} & <gold>\n"
    assert letter.html == ""  # never ours with another text
    assert OURS in text_of("replaced").replace("new ", "")
    assert "lautet" in text_of(language="de")
    assert shop.faults() == []


def test_a_shops_layout_frames_our_words(shop: Shop) -> None:
    shop.has("layout.html", "<p>{% block opening %}{% endblock %}{{ code }}</p>")

    html = wording.letter("code", "en", {"plan": "<gold>"}, CODE).html

    assert html.startswith("<p>Hello,<br>Your subscription to the plan")
    assert "&lt;gold&gt;" in html


def test_a_language_of_the_shop_is_taken_for_its_users(shop: Shop) -> None:
    for kind in MailIntent.Kind.values:
        shop.has(f"fr/{kind}.txt", "Subject: Code\n\n{{ code }}{{ until|date:'d/m/Y' }}")

    assert templates.best_language("fr-CA") == "fr"
    assert shop.faults() == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("en/code.txt", "Subject: Hi\n\nno code", "expected the code in its text"),
        ("en/code.txt", "{{ code }}", "expected `Subject: …` as its first line"),
        ("en/code.txt", "Subject:\n{{ code }}", "expected `Subject: …` as its first line"),
        ("en/code.txt", "Subject: Hi\n{{ code }}{% if %}", "the template en/code fails"),
        ("en/code.txt", "Subject: Hi\n{{ code }}{% include 'no.txt' %}", "the template en/code"),
        ("en/code.txt", "Subject: Hi\n{{ code }}{{ naem }}", "nobody knows, got naem"),
        ("en/resend.txt", "Subject: Hi\n{{ plan.x.y }}{{ code }}", "nobody knows, got plan.x.y"),
        ("fr/code.txt", "Subject: Hi\n{{ code }}", "the template fr/resend fails"),
        ("en/code.html", "", ""),
    ],
)
def test_a_broken_or_missing_template_is_found_at_start(
    shop: Shop, name: str, text: str, fault: str
) -> None:
    shop.has(name, text)

    faults = shop.faults()

    assert any(fault in each for each in faults) if fault else faults == []


def test_html_beside_a_text_must_show_the_code_too(shop: Shop) -> None:
    shop.has("en/code.txt", "Subject: Hi\n\n{{ code }}")
    shop.has("en/code.html", "<p>{{ plan }}</p>")

    assert shop.faults() == ["en/code: expected the code in its text and its HTML"]


def test_a_default_language_without_templates_is_found_at_start(settings: Settings) -> None:
    settings.MAIL_LANGUAGE = "fr"

    [fault] = checks.mails_can_be_rendered()
    assert str(fault.msg) == "MAIL_LANGUAGE: expected one of de, en"


@pytest.mark.django_db
def test_a_mail_that_cannot_be_rendered_holds_no_other(shop: Shop, mailbox: Mailbox) -> None:
    shop.has("de/code.txt", "Subject: Hi\n\n{% include plan %}{{ code }}")
    ada, _ = subscribe("ada@example.com", "bob@example.com")
    type(ada.access_code).objects.filter(pk=ada.access_code_id).update(language="de")

    assert sending.send_due_mails(always) == 2

    ada.refresh_from_db()
    assert mailbox.recipients == ["bob@example.com"]
    assert (ada.state, ada.attempts) == (MailIntent.State.PENDING, 1)
    assert "the template de/code fails" in ada.last_error
    assert mask(ada.last_error) == ada.last_error


def test_what_fails_shows_no_code(shop: Shop) -> None:
    shop.has("en/code.txt", "Subject: Hi\n\n{% include code %}")

    with pytest.raises(templates.Unrenderable) as raised:
        text_of()

    assert CODE not in str(raised.value)


@pytest.mark.django_db
def test_it_is_sent_once_its_template_is_mended(shop: Shop, mailbox: Mailbox) -> None:
    shop.has("en/code.txt", "no subject")
    subscribe("ada@example.com")
    sending.send_due_mails(always)

    shop.has("en/code.txt", "Subject: Hi\n\nMended: {{ code }}")
    templates._engine.cache_clear()  # as a worker that starts again
    make_due()
    sending.send_due_mails(always)

    [mail] = mailbox.mails
    assert "Mended" in in_clear(mail)
