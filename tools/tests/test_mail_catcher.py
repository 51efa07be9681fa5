"""The mail catcher stores mails before it accepts them, and never runs their content."""

from __future__ import annotations

import smtplib
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from tools import rest
from tools.mail_catcher.mailbox import Mailbox
from tools.system.backends import Backends
from tools.system.ports import LOCAL
from tools.system.system import System


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[System]:
    with System(tmp_path, Backends.embedded(tmp_path)) as system:
        system.start("mail")
        system.wait_ready("mail")
        yield system


def test_no_mail_is_listed_before_earlier_mails(tmp_path: Path) -> None:
    mailbox = Mailbox(tmp_path)
    mailbox.add(b"one")
    (tmp_path / "000003.eml").write_bytes(b"a file that a listing may contain before the second")

    assert [mail["id"] for mail in mailbox.mails()] == ["000001"]
    mailbox.add(b"two")
    mailbox.add(b"three")
    assert [mail["id"] for mail in mailbox.mails(after=1)] == ["000003", "000002"]


def a_mail(to: str = "ada@example.org") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Admit One <codes@admit-one.example>"
    mail["To"] = to
    mail["Subject"] = "Your code, Zoë <b>"
    mail["Message-ID"] = "<1@admit-one.example>"
    mail.set_content("your code is ABCD-EFGH-JKMN-PQRS")
    mail.add_alternative("<h1>ABCD</h1><script>alert(1)</script>", subtype="html")
    return mail


def send(catcher: System, *mails: EmailMessage) -> None:
    with smtplib.SMTP(LOCAL, catcher.ports.smtp, timeout=5) as connection:
        for mail in mails:
            connection.send_message(mail)


def page(url: str, host: str = LOCAL) -> tuple[int, str, str]:
    request = urllib.request.Request(url, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            policy = answer.headers["Content-Security-Policy"]
            return answer.status, answer.read().decode(), policy
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), ""


def test_an_accepted_mail_is_listed_with_its_content(catcher: System) -> None:
    send(catcher, a_mail())
    (mail,) = rest.get(f"{catcher.mail_url}/api/messages")

    assert mail.pop("received_at")
    assert mail.pop("html").startswith("<h1>ABCD</h1>")
    assert mail == {
        "id": "000001",
        "from": "Admit One <codes@admit-one.example>",
        "to": "ada@example.org",
        "subject": "Your code, Zoë <b>",
        "message_id": "<1@admit-one.example>",
        "text": "your code is ABCD-EFGH-JKMN-PQRS\r\n",
    }


def test_mails_are_listed_newest_first_and_can_be_filtered_by_recipient(catcher: System) -> None:
    send(catcher, a_mail("ada@example.org"), a_mail("bob@example.org"))
    everybodys = rest.get(f"{catcher.mail_url}/api/messages")
    bobs = rest.get(f"{catcher.mail_url}/api/messages?to=bob@example.org")

    assert [mail["to"] for mail in everybodys] == ["bob@example.org", "ada@example.org"]
    assert [mail["id"] for mail in bobs] == ["000002"]


def test_mails_survive_a_kill_of_the_catcher(catcher: System) -> None:
    send(catcher, a_mail())
    catcher.kill("mail")
    catcher.start("mail")
    catcher.wait_ready("mail")
    send(catcher, a_mail())

    assert rest.get(f"{catcher.mail_url}/api/count") == {"count": 2}
    assert len(rest.get(f"{catcher.mail_url}/api/messages")) == 2


def test_a_mail_is_shown_but_its_scripts_do_not_run(catcher: System) -> None:
    send(catcher, a_mail())
    _, listed, _ = page(f"{catcher.mail_url}/")
    _, shown, _ = page(f"{catcher.mail_url}/mails/000001")
    _, html, policy = page(f"{catcher.mail_url}/mails/000001/html")

    assert "Zoë &lt;b&gt;" in listed
    assert '<iframe sandbox title="the mail" src="/mails/000001/html">' in shown
    assert "<script>alert" in html
    assert policy.startswith("sandbox; default-src 'none'")


def test_requests_for_another_host_are_refused(
    catcher: System,
) -> None:
    assert page(f"{catcher.mail_url}/api/messages", "evil.example")[0] == 403


@pytest.mark.parametrize("path", ["/mails/000009", "/mails/..", "/mails/1/2/3", "/nothing"])
def test_unknown_paths_are_not_found(catcher: System, path: str) -> None:
    assert page(catcher.mail_url + path)[0] == 404
