from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from admit_one.webhooks import attempt
from admit_one.webhooks.known import listeners
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.webhooks.receiver import Receiver


@pytest.fixture(autouse=True)
def read_again() -> None:
    """No test knows the endpoints of the one before."""
    listeners.forget()


@pytest.fixture
def start() -> Iterator[Callable[..., Receiver]]:
    """Start a receiver: `start()`, or with TLS: `start(context)`."""
    receivers: list[Receiver] = []

    def make(context: ssl.SSLContext | None = None) -> Receiver:
        receivers.append(Receiver(context))
        return receivers[-1]

    yield make
    for each in receivers:
        each.close()


@pytest.fixture
def receiver(start: Callable[..., Receiver]) -> Receiver:
    return start()


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ssl.SSLContext]:
    """A server's context for a name, whose authority this process trusts from now on."""
    authority = tmp_path / "authority.pem"

    def make(name: str, *, trusted: bool = True) -> ssl.SSLContext:
        certificate, key = _certificate(name)
        path = tmp_path / f"{name}.pem"
        path.write_bytes(certificate + key)
        if trusted:
            authority.write_bytes(certificate)
            context = ssl.create_default_context(cafile=str(authority))
            monkeypatch.setattr(attempt, "_context", lambda: context)
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(path)
        return served

    return make


def _certificate(name: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named)
        .issuer_name(named)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
