"""What many mails share is composed once, and each is as if it were composed alone."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from access_codes.mails import composing, forms, kinds, letters, wording
from access_codes.mails.composing import Mail, compose
from access_codes.mails.forms import MARKS, OTHERS, Values, form_of
from access_codes.mails.letters import Letters
from access_codes.models import MailIntent
from pytest_django import Settings

from tests.mails.steps import in_clear, subscribe

pytestmark = pytest.mark.django_db
DATE = re.compile(rb"^Date: .*$", re.MULTILINE)
Kind = MailIntent.Kind


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The recipients of the mails that were composed as a whole."""
    recipients: list[str] = []

    def noted(letter: composing.Letter, *, address: str, message_id: str) -> Mail:
        recipients.append(address)
        return compose(letter, address=address, message_id=message_id)

    monkeypatch.setattr(letters, "compose", noted)
    return recipients


def alone(intent: MailIntent) -> Mail:
    row = intent.access_code
    code = row.code if intent.has_code else ""
    letter = wording.letter(intent.kind, row.language, kinds.facts(intent), code)
    return compose(letter, address=intent.address, message_id=intent.message_id)


def undated(wire: bytes) -> bytes:
    """Without what differs each time that the same mail is composed."""
    boundary = forms.BOUNDARY.search(wire)
    assert boundary is not None
    return DATE.sub(b"Date:", wire.replace(boundary[1], b"boundary"))


def read(mail: Mail) -> EmailMessage:
    return email.message_from_bytes(mail.wire, policy=email.policy.default)


def mails(*addresses: str, **fields: str) -> Iterator[MailIntent]:
    subscribe(*addresses)
    MailIntent.objects.update(kind=fields.get("kind", "code"))
    for intent in MailIntent.objects.order_by("id"):
        intent.access_code.language = fields.get("language")
        intent.access_code.plan = fields.get("plan", "gold")
        yield intent


MANY = [f"user{n}@example.com" for n in range(5)]


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("kind", [Kind.CODE, Kind.RESEND, Kind.REPLACED])
@pytest.mark.parametrize("url", ["", "https://shop.example/enter#code={code}"])
def test_each_mail_is_as_if_it_were_composed_alone(
    settings: Settings, composed: list[str], kind: Kind, language: str, url: str
) -> None:
    settings.MAIL_CODE_URL = url
    made = Letters()
    for intent in mails(*MANY, kind=kind.value, language=language):
        mail = made.compose(intent)

        assert undated(mail.wire) == undated(alone(intent).wire)
        assert mail.recipient == read(mail)["To"] == intent.address
        assert read(mail)["Message-ID"] == intent.message_id
        assert read(mail)["Date"].datetime.year >= 2026
        for part in ("plain", "html"):
            assert intent.access_code.code in in_clear(read(mail), part)
        assert mail.secrets == (intent.access_code.code,)

    assert composed == [MANY[0], MARKS.address, OTHERS.address]


@pytest.mark.parametrize("plan", ["Prämie", "<b>&", "賞" * 100, MARKS.code])
def test_a_plan_of_any_name_is_shown_as_if_composed_alone(plan: str) -> None:
    made = Letters()
    for intent in mails(*MANY, plan=plan):
        assert undated(made.compose(intent).wire) == undated(alone(intent).wire)


@pytest.mark.parametrize(
    "text",
    [
        "Subject: Hi\n\n{{ code }} or {{ code|lower }}",
        "Subject: Hi\n\n{{ code }}{% if '0' in code %} 0 is a zero{% endif %}",
        "Subject: Hi\n\n{{ code }}{% if code|first in '0123456789' %}!{% endif %}",
        "Subject: Hi\n\n{{ code }}, which begins with {{ code|slice:':4' }}",
        "Subject: Hi\n\n{{ code }}, whose last sign is {{ code|last }}",
    ],
)
def test_a_template_that_changes_the_code_gets_each_code(
    settings: Settings, tmp_path: Path, composed: list[str], text: str
) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "code.txt").write_text(text)
    settings.MAIL_TEMPLATES = tmp_path
    made = Letters()
    for intent in mails(*MANY):
        mail = made.compose(intent)

        assert DATE.sub(b"", mail.wire) == DATE.sub(b"", alone(intent).wire)

    assert composed == [*MANY[:1], MARKS.address, OTHERS.address, *MANY[1:]]


@pytest.mark.parametrize(
    "address",
    [
        *("ada@exämple.example", "o'neil+x@example.org", "a" * 60 + "@example.org"),
        *("ada@" + "b" * 60 + ".example", "a_=%{}~@example.org"),
    ],
)
def test_any_address_gets_the_mail_that_names_it(address: str) -> None:
    made = Letters()
    *_, last = [(made.compose(intent), intent) for intent in mails(*MANY, address)]
    mail, intent = last

    assert undated(mail.wire) == undated(alone(intent).wire)
    assert mail.recipient == read(mail)["To"]


def test_mails_of_another_domain_keep_their_message_ids(composed: list[str]) -> None:
    made = Letters()
    for number, intent in enumerate(mails(*MANY)):
        if number > 2:
            intent.message_id = intent.message_id.replace("@", "@old.")
        assert read(made.compose(intent))["Message-ID"] == intent.message_id


def test_other_backends_get_messages(settings: Settings) -> None:
    settings.MAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    made = Letters()
    for intent in mails(*MANY):
        message = made.compose(intent).message
        assert message is not None
        assert message.to == [intent.address]


def test_a_template_that_fails_for_the_marks_alone_gets_each_code(
    settings: Settings, tmp_path: Path, composed: list[str]
) -> None:
    (tmp_path / "en").mkdir()
    fails = f'{{% if code == "{MARKS.code}" %}}{{% include "nothing" %}}{{% endif %}}'
    (tmp_path / "en" / "code.txt").write_text(f"Subject: Hi\n\n{{{{ code }}}}{fails}")
    settings.MAIL_TEMPLATES = tmp_path
    made = Letters()
    for intent in mails(*MANY):
        assert DATE.sub(b"", made.compose(intent).wire) == DATE.sub(b"", alone(intent).wire)

    assert composed == MANY


def test_plans_without_end_take_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "MOST_FORMS", 3)
    made = Letters()
    [intent] = mails("ada@example.com")
    for plan in range(10):
        intent.access_code.plan = f"plan {plan}"
        for _ in range(3):
            made.compose(intent)

    assert len(made._forms) == 3


def test_a_form_of_what_depends_on_more_than_its_values_is_none() -> None:
    numbers = iter(range(10))

    def numbered(values: Values) -> bytes:
        return f"Date: today\r\n\r\n{values.code} {next(numbers)}".encode()

    assert form_of(numbered) is None
