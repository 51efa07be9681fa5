"""The settings of mails: what is refused at start, and what is masked from then on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from admit_one.masking import mask
from pytest_django import Settings
from student_service.mail_settings import MailEnvironment

from admit_one import masking
from tests.mails.smtp_server import Mailbox
from tests.mails.test_ways import word

SENDER = {"EMAIL_FROM": "My Shop <codes@shop.example>"}
SERVER = {"EMAIL_URL": "smtp://mail.example:25"}
POSTMARK = {"EMAIL_BACKEND": "anymail.backends.postmark.EmailBackend"}
LOGIN = "provider:a-long-secret-of-webhooks"


@pytest.fixture(autouse=True)
def in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MailEnvironment.model_fields:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setattr(masking, "_secrets", set())
    monkeypatch.setattr(masking, "_any_secret", None)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    def read(**variables: str) -> MailEnvironment:
        for name, value in (SENDER | variables).items():
            monkeypatch.setenv(name, value)
        return MailEnvironment.read()

    return read


def test_the_shop_is_named_as_the_sender_unless_it_has_a_name(read: Any) -> None:
    assert read(**SERVER).shop_name == "My Shop"
    assert read(**SERVER, MAIL_SHOP_NAME="Schule Nord").shop_name == "Schule Nord"
    assert (
        read(**SERVER, MAIL_SHOP_NAME="", EMAIL_FROM="a@shop.example").shop_name == "shop.example"
    )


@pytest.mark.parametrize("name", ["Bücher Müller", 'A "B", C', "Schule <Nord>", "a\\b"])
def test_the_senders_name_may_have_any_letters(
    read: Any, settings: Settings, mailbox: Mailbox, name: str
) -> None:
    settings.DEFAULT_FROM_EMAIL = read(**SERVER, MAIL_SHOP_NAME=name).sender

    assert word() == "taken"
    [mail] = mailbox.mails
    [sender] = mail["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (name, "codes@shop.example")


def test_a_provider_needs_no_mail_server(read: Any) -> None:
    assert read(**POSTMARK, ANYMAIL='{"POSTMARK_SERVER_TOKEN": "a-long-token"}').EMAIL_URL is None


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({}, "EMAIL_URL: expected smtp://[user:password@]host:port"),
        ({"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend"}, "EMAIL_URL: expected"),
        (SERVER | {"EMAIL_BACKEND": "smtp"}, "EMAIL_BACKEND: expected the dotted path"),
        (POSTMARK | {"ANYMAIL": "token"}, "ANYMAIL: expected a JSON object"),
        (POSTMARK | {"ANYMAIL": "[]"}, "ANYMAIL: expected a JSON object"),
        (
            POSTMARK | {"ANYMAIL": '{"POSTMARK_SERVER_TOKEN": "short"}'},
            "ANYMAIL: expected POSTMARK_SERVER_TOKEN to have at least 8 characters",
        ),
        (POSTMARK | {"ANYMAIL": '{"DEBUG_API_REQUESTS": true}'}, "it prints codes"),
        (POSTMARK | {"ANYMAIL": '{"IGNORE_RECIPIENT_STATUS": true}'}, "counts as sent"),
        (SERVER | {"MAIL_WEBHOOKS": "ses"}, "MAIL_WEBHOOKS: expected some of mailgun, postmark"),
        (SERVER | {"MAIL_WEBHOOKS": "postmark"}, 'expected ANYMAIL to have a "WEBHOOK_SECRET"'),
        (
            SERVER | {"MAIL_WEBHOOKS": "mailgun", "ANYMAIL": json.dumps({"WEBHOOK_SECRET": LOGIN})},
            'expected ANYMAIL to have a "MAILGUN_WEBHOOK_SIGNING_KEY"',
        ),
        (SERVER | {"MAIL_CODE_URL": "shop.example"}, "MAIL_CODE_URL: expected https://host/path"),
        (SERVER | {"MAIL_CODE_URL": "https://a.example/?c={code}"}, "behind a # only"),
        (SERVER | {"MAIL_CODE_URL": "https://a.example/{code}#x"}, "behind a # only"),
        (SERVER | {"MAIL_CODE_URL": "https://u:p@a.example/"}, "got a login in it"),
        (SERVER | {"MAIL_CODE_URL": "javascript:alert(1)"}, "MAIL_CODE_URL: expected"),
        (SERVER | {"MAIL_LANGUAGE": "English"}, "MAIL_LANGUAGE: expected a language tag"),
        (SERVER | {"MAIL_TEMPLATES": "/no/such/folder"}, "MAIL_TEMPLATES: expected the absolute"),
        (SERVER | {"MAIL_TEMPLATES": "tests"}, "MAIL_TEMPLATES: expected the absolute"),
        (SERVER | {"MAIL_REPLY_TO": "nobody"}, "MAIL_REPLY_TO: expected an address"),
        (SERVER | {"MAIL_SUPPORT": "a\nb"}, "MAIL_SUPPORT: expected one line"),
    ],
)
def test_a_wrong_setting_ends_the_start_and_says_why(
    read: Any, variables: dict[str, str], fault: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        read(**variables)

    assert fault in str(raised.value)
    assert "short" not in str(raised.value).replace("shorter", "")


def test_the_secrets_of_a_provider_are_masked(read: Any) -> None:
    given = {
        "POSTMARK_SERVER_TOKEN": "a-token-of-postmark",
        "WEBHOOK_SECRET": LOGIN,
        "MAILGUN_SENDER_DOMAIN": "mg.shop.example",
    }
    environment = read(**POSTMARK, ANYMAIL=json.dumps(given))

    for secret in ("a-token-of-postmark", LOGIN, "a-long-secret-of-webhooks"):
        assert secret not in mask(f"it says {secret}")
        assert secret not in repr(environment)
    assert mask("from mg.shop.example") == "from mg.shop.example"


def test_they_may_stand_in_a_file(read: Any, tmp_path: Path) -> None:
    file = tmp_path / "anymail.json"
    file.write_text('{"POSTMARK_SERVER_TOKEN": "a-token-of-postmark"}')

    environment = read(**POSTMARK, ANYMAIL_FILE=str(file))

    assert environment.anymail["POSTMARK_SERVER_TOKEN"] == "a-token-of-postmark"
    assert environment.anymail["REQUESTS_TIMEOUT"] == (8, 300)


@pytest.mark.parametrize(
    "module", ["student_service.urls", "access_codes.tasks", "access_codes.wiring"]
)
def test_no_process_loads_a_providers_library_that_it_does_not_need(module: str) -> None:
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        f"import django; django.setup(); import {module}\n"
        "print('anymail' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parent.parent.parent,
        env={name: value for name, value in os.environ.items() if name != "ENVIRONMENT"},
    )  # fmt: skip

    assert done.stdout == "False\n"
