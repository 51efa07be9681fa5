"""Logging in to the mail server, with logins in any script, and without a word of them in logs."""

from __future__ import annotations

import base64

import pytest
from access_codes.mails import login, sending, smtp
from access_codes.models import MailIntent
from django.core.mail.utils import DNS_NAME
from pytest_django import Settings

from tests.mails.scripted_server import ScriptedServer, answer
from tests.mails.steps import always, made_a_pause, subscribe

USER, PASSWORD = "jürgen", "pässwörd"
PLAIN = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
SECRETS = [PASSWORD, PLAIN, base64.b64encode(PASSWORD.encode()).decode(), PLAIN.rstrip("=")]


@pytest.fixture(autouse=True)
def a_login(settings: Settings) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = USER, PASSWORD


def offering(mechanisms: str) -> str:
    return f"250-scripted\r\n250 AUTH {mechanisms}\r\n"


def test_a_login_is_sent_in_utf8(scripted: ScriptedServer) -> None:
    scripted.play(EHLO=offering("PLAIN"), AUTH="235 welcome\r\n")

    with smtp.SmtpSession():
        pass

    [record] = scripted.records
    assert record.commands[1:] == [f"AUTH PLAIN {PLAIN}", "QUIT"]


def test_login_answers_each_question(scripted: ScriptedServer) -> None:
    user, password = (base64.b64encode(part.encode()).decode() for part in (USER, PASSWORD))
    scripted.play(
        EHLO=offering("LOGIN"),
        AUTH="334 VXNlcm5hbWU6\r\n",
        **{
            user.upper(): answer("334 UGFzc3dvcmQ6\r\n"),
            password.upper(): answer("235 welcome\r\n"),
        },
    )

    with smtp.SmtpSession():
        pass

    assert scripted.records[0].commands[1:4] == ["AUTH LOGIN", user, password]


@pytest.mark.parametrize(
    "lines",
    [
        "250-AUTH CRAM-MD9 PLAIN\r\n250 AUTH=GSSAPI\r\n",
        "250-AUTH=PLAIN\r\n250-SIZE\r\n250 AUTH GSSAPI\r\n",
        "250-auth=plain\r\n250 SIZE\r\n",
        "250-AUTH\tGSSAPI\tPLAIN \r\n250 SIZE\r\n",
        "250-  AUTH  PLAIN\r\n250 SIZE\r\n",
    ],
)
def test_an_offer_of_auth_is_read_however_it_is_written(
    scripted: ScriptedServer, lines: str
) -> None:
    """Many servers offer it twice, once in the form of a draft, and not always the same."""
    scripted.play(EHLO=f"250-scripted\r\n{lines}", AUTH="235 welcome\r\n")

    with smtp.SmtpSession():
        pass

    assert scripted.records[0].commands[1] == f"AUTH PLAIN {PLAIN}"


def test_without_md5_the_next_mechanism_is_used(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In FIPS mode, OpenSSL has none."""

    def refuse(*_: object) -> None:
        raise ValueError("[digital envelope routines] unsupported")

    monkeypatch.setattr("hmac.new", refuse)
    scripted.play(EHLO=offering("CRAM-MD5 PLAIN"), AUTH="235 welcome\r\n")

    with smtp.SmtpSession():
        pass

    assert scripted.records[0].commands[1] == f"AUTH PLAIN {PLAIN}"


@pytest.mark.parametrize("then", ["hangs up", "421"])
def test_a_server_that_ends_the_dialogue_over_a_wrong_login_refuses_us(
    scripted: ScriptedServer, then: str
) -> None:
    """The queue must be held, or every try would count against the account."""
    refusal = "535 5.7.8 Username and Password not accepted\r\n"
    user = base64.b64encode(USER.encode()).decode()
    scripted.play(
        EHLO=offering("LOGIN PLAIN"),
        AUTH="334 go on\r\n",
        **{
            PLAIN.upper(): answer(refusal, hang_up=then == "hangs up"),
            user.upper(): answer("421 4.7.0 too many failed logins\r\n", hang_up=True),
        },
    )

    with pytest.raises(smtp.ServerUnavailable, match=r"535 5\.7\.8 Username") as raised:
        smtp.SmtpSession()

    assert raised.value.reply is not None
    assert raised.value.reply.code == 535


def test_the_answer_to_a_challenge_is_that_of_rfc_2195() -> None:
    who = login.Login("tim", "tanstaaftanstaaf")
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"

    assert who.answer("CRAM-MD5", 0, challenge) == b"tim b913a602c7eda7a495b4e6e7334d3890"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "reply",
    [
        "535 5.7.8 Authentication failed",
        f"535 5.7.8 Authentication failed for {USER} with {PASSWORD}",
        f"501 cannot read {PLAIN}",
        f"501 cannot read {PLAIN[:12]}",
        f"no reply at all {PLAIN} {PASSWORD}",
        f"354 {PASSWORD}",
    ],
)
@pytest.mark.parametrize("mechanisms", ["PLAIN", "LOGIN", "CRAM-MD5 LOGIN PLAIN"])
def test_no_refused_login_stands_in_the_log_or_in_the_row(
    scripted: ScriptedServer, caplog: pytest.LogCaptureFixture, reply: str, mechanisms: str
) -> None:
    subscribe("ada@example.com")
    scripted.play(EHLO=offering(mechanisms), AUTH=f"{reply}\r\n")

    sending.send_due_mails(always)

    intent = MailIntent.objects.get()
    assert (intent.state, intent.attempts) == (MailIntent.State.PENDING, 0)
    assert made_a_pause()
    written = "\n".join([caplog.text, *map(repr, caplog.records), intent.last_error])
    assert written
    assert [secret for secret in SECRETS if secret in written] == []


def test_a_refused_login_is_reported_in_the_servers_words(scripted: ScriptedServer) -> None:
    scripted.play(EHLO=offering("PLAIN"), AUTH="535 5.7.8 Username and Password not accepted\r\n")

    with pytest.raises(
        smtp.ServerUnavailable, match=r"535 5\.7\.8 Username and Password not accepted"
    ):
        smtp.SmtpSession()


def test_no_answer_to_a_challenge_is_repeated_in_the_log(
    scripted: ScriptedServer, settings: Settings
) -> None:
    """Whoever knows challenge and answer can guess passwords without the server."""
    settings.EMAIL_HOST_USER = "ada"
    challenge = b"<1@mail.example>"
    said = login.Login("ada", PASSWORD).answer("CRAM-MD5", 0, challenge)
    digest, encoded = said.split()[1].decode(), base64.b64encode(said).decode()
    for repeated in (digest, encoded, digest.upper()):
        scripted.play(
            EHLO=offering("CRAM-MD5"),
            AUTH=f"334 {base64.b64encode(challenge).decode()}\r\n",
            **{encoded.upper(): answer(f"535 5.7.8 wrong: {repeated}\r\n")},
        )

        with pytest.raises(smtp.ServerUnavailable) as raised:
            smtp.SmtpSession()

        assert str(raised.value) == f"535 {login.WITHHELD}"


@pytest.mark.django_db
@pytest.mark.parametrize("fault", ["a host that is no name", "STARTTLS is not offered"])
def test_nothing_raised_while_connecting_shows_a_secret(
    scripted: ScriptedServer, settings: Settings, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    subscribe("ada@example.com")
    if fault == "a host that is no name":
        settings.EMAIL_HOST = "x" * 80 + ".example"
    else:
        settings.EMAIL_USE_TLS = True

    assert sending.send_due_mails(always) == 0

    assert "mail server is unavailable" in caplog.text
    assert [secret for secret in SECRETS if secret in caplog.text] == []


def test_an_address_that_greets_has_no_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DNS_NAME, "_fqdn", "a1b2c3d4", raising=False)

    assert smtp._our_name("fe80::1%eth0") == "[IPv6:fe80::1]"


def test_we_greet_with_the_name_of_the_settings(
    scripted: ScriptedServer, settings: Settings
) -> None:
    settings.EMAIL_HOST_USER = ""
    settings.EMAIL_HELO_NAME = "mail.shop.example"

    with smtp.SmtpSession():
        pass

    assert scripted.records[0].commands[0] == "EHLO mail.shop.example"


@pytest.mark.parametrize(
    ("fqdn", "name"),
    [
        ("mail.shop.example", "mail.shop.example"),
        ("a1b2c3d4", "[127.0.0.1]"),
        ("localhost.localdomain", "[127.0.0.1]"),
        ("worker.internal", "[127.0.0.1]"),
        ("under_score.example", "[127.0.0.1]"),
    ],
)
def test_by_default_we_greet_with_a_name_that_servers_accept(
    scripted: ScriptedServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    fqdn: str,
    name: str,
) -> None:
    settings.EMAIL_HOST_USER = ""
    monkeypatch.setattr(DNS_NAME, "_fqdn", fqdn, raising=False)

    with smtp.SmtpSession():
        pass

    assert scripted.records[0].commands[0] == f"EHLO {name}"
