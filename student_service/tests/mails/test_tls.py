"""TLS from the first byte or by STARTTLS, with a server whose certificate is verified."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from access_codes.mails import sending, smtp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pytest_django import Settings

from tests.mails import smtp_server
from tests.mails.scripted_server import ScriptedServer
from tests.mails.steps import always, made_a_pause, subscribe

OFFERS_STARTTLS = "250-scripted\r\n250 STARTTLS\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a self-signed certificate for 127.0.0.1 and localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["from the first byte", "STARTTLS"])
@pytest.mark.parametrize("trusted", [True, False])
def test_mails_are_sent_over_tls_to_a_trusted_server_only(
    certificate: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    trusted: bool,
) -> None:
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(certificate)
    context = ssl.create_default_context(cafile=str(certificate) if trusted else None)
    monkeypatch.setattr(smtp, "_verified", lambda: context)
    settings.EMAIL_USE_TLS = way == "STARTTLS"
    settings.EMAIL_USE_SSL = not settings.EMAIL_USE_TLS
    starttls = {"tls_context": own, "require_starttls": True}
    options: dict[str, Any] = starttls if settings.EMAIL_USE_TLS else {"ssl_context": own}
    subscribe("ada@example.com", "bob@example.com")
    with smtp_server.running(**options) as mailbox:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port

        sent = sending.send_due_mails(always)

    assert sent == len(mailbox.mails) == (2 if trusted else 0)
    assert made_a_pause() == (not trusted)


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["localhost", "localhost."])
def test_a_host_may_end_in_a_dot(
    certificate: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """As in clusters, where a dot stops a search through the cluster's own domains."""
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(certificate)
    context = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(smtp, "_verified", lambda: context)
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: real(host.removesuffix("."), *a, **k)
    )
    settings.EMAIL_USE_SSL = True
    subscribe("ada@example.com")
    with smtp_server.running(ssl_context=own) as mailbox:
        settings.EMAIL_HOST, settings.EMAIL_PORT = host, mailbox.port

        assert sending.send_due_mails(always) == 1


@pytest.mark.parametrize("early", ["250 ok\r\n", "250-AU"])
def test_a_reply_in_clear_is_not_read_under_tls(
    scripted: ScriptedServer, settings: Settings, early: str
) -> None:
    """Not even a part of one, which would begin the first reply under TLS."""
    settings.EMAIL_USE_TLS = True
    scripted.play(EHLO=OFFERS_STARTTLS, STARTTLS=f"220 go on\r\n{early}")

    with pytest.raises(smtp.ServerUnavailable, match="an unexpected reply: 250"):
        smtp.SmtpSession()


def test_without_ehlo_there_is_no_way_around_tls(
    scripted: ScriptedServer, settings: Settings
) -> None:
    settings.EMAIL_USE_TLS = True
    scripted.play(EHLO="502 what?\r\n", AUTH="235 welcome\r\n")

    with pytest.raises(smtp.ServerUnavailable, match="the server offers no STARTTLS"):
        smtp.SmtpSession()

    assert [command[:4] for command in scripted.records[0].commands] == ["EHLO", "HELO"]


def test_without_starttls_no_login_is_sent_in_clear(
    scripted: ScriptedServer, settings: Settings
) -> None:
    settings.EMAIL_USE_TLS = True
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "ada", "a password"

    with pytest.raises(smtp.ServerUnavailable, match="the server offers no STARTTLS"):
        smtp.SmtpSession()

    assert len(scripted.records[0].commands) == 1
