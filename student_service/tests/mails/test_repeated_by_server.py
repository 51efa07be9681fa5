"""A mail server may repeat what it has read; none of it is kept or logged."""

from __future__ import annotations

import pytest
from access_codes.mails import sending
from access_codes.models import MailIntent

from tests.mails.scripted_server import ScriptedServer
from tests.mails.steps import always, subscribe

pytestmark = pytest.mark.django_db

ADDRESS = "ada@example.com"
QUOTED = "ada%40example.com"


def test_a_code_or_an_address_in_an_answer_is_masked_in_any_form(
    scripted: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    [intent] = subscribe(ADDRESS)
    code = intent.access_code.code
    forms = [code, code.replace("-", ""), code.replace("-", "").lower(), ADDRESS, QUOTED]
    scripted.play(dot=f"451 4.7.1 spam: {' '.join(forms)}\r\n")

    sending.send_due_mails(always)

    error = MailIntent.objects.get().last_error
    assert error.startswith("451 4.7.1 spam: ")
    assert [form for form in forms if form in error + caplog.text] == []
