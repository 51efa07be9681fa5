"""A provider's settings are read at the start, and refused with what was expected."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from admit_one.masking import mask
from providers.environment import ProvidersEnvironment

from tests.providers.stripe_steps import OTHER_SECRET, SECRET

SECRETS = "STRIPE_WEBHOOK_SECRETS"


def refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        ProvidersEnvironment.read()
    return str(ended.value)


def test_without_settings_no_provider_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRETS, raising=False)
    read = ProvidersEnvironment.read()

    assert (read.STRIPE_WEBHOOK_SECRETS, read.STRIPE_CLIENT) == ([], "stripe")


def test_one_or_two_secrets_are_read_and_masked_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(SECRETS, f"{SECRET}, {OTHER_SECRET}")
    read = ProvidersEnvironment.read()

    assert read.STRIPE_WEBHOOK_SECRETS == [SECRET, OTHER_SECRET]
    assert mask(f"{SECRET} {OTHER_SECRET.removeprefix('whsec_')}") == "*** ***"
    assert SECRET not in repr(read)


def test_secrets_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    monkeypatch.setenv(f"{SECRETS}_FILE", str(tmp_path / "secret"))

    assert ProvidersEnvironment.read().STRIPE_WEBHOOK_SECRETS == [SECRET]


@pytest.mark.parametrize(
    "value",
    [
        "sk_live_0123456789abcdefghijklmnopqrstuv",
        "whsec_short",
        f"{SECRET} {OTHER_SECRET}",
        f"{SECRET},{OTHER_SECRET},whsec_{'0123456789abcdef' * 3}",
        f"{SECRET},{SECRET}",
    ],
)
def test_other_secrets_are_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    fault = refused(monkeypatch, SECRETS, value)

    assert fault.startswith(f"{SECRETS}: expected 1 to 2 signing secrets")
    assert value not in fault


def test_a_secret_that_can_be_guessed_is_refused_in_production(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")

    assert "can be guessed" in refused(monkeypatch, SECRETS, f"whsec_{'ab' * 20}")


def test_secrets_without_the_library_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.environment.find_spec", lambda _: None)

    assert refused(monkeypatch, SECRETS, SECRET) == (
        f"{SECRETS}: expected the extra payment-service[stripe] to be installed, got none"
    )


@pytest.mark.parametrize("client", ["Stripe", "a b", "-", "x" * 65])
def test_a_name_that_no_client_may_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, client: str
) -> None:
    assert refused(monkeypatch, "STRIPE_CLIENT", client).startswith("STRIPE_CLIENT: expected")


def test_no_process_imports_the_library_before_an_event_comes() -> None:
    assert importlib.util.find_spec("stripe")
    started = (
        "import os, django; os.environ['STRIPE_WEBHOOK_SECRETS'] = "
        f"{SECRET!r}; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup(); "
        "import payment_service.urls, payment_service.wiring, sys; "
        "print('stripe' in sys.modules)"
    )
    folder = Path(__file__).parents[2]
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.'); {started}"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "False"
