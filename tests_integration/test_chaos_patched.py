"""The functions that chaos patches exist, are public and have the expected parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests_integration.chaos.stage.patched import NotAsExpected, Patched, check

SOURCE = """
class Publisher:
    def publish(self, batch, timeout, *, mandatory=True): ...

    def _send(self, message): ...

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""


@pytest.fixture
def product(tmp_path: Path) -> Path:
    (tmp_path / "publisher.py").write_text(SOURCE)
    return tmp_path


def test_everything_that_chaos_patches_is_as_expected() -> None:
    check()


@pytest.mark.parametrize(
    "signature", ["Publisher.publish(self, batch, timeout, *, mandatory)", "LONGEST_PAUSE"]
)
def test_a_signature_as_in_the_source_passes(product: Path, signature: str) -> None:
    check([Patched("publisher", signature)], [product])


WRONG = {
    "Publisher.hand_over(self, batch)": "got nothing by that name",
    "Publisher._send(self, message)": "expected a public name, got a private one",
    "Publisher.publish(self, batch)": "got Publisher.publish(self, batch, timeout, *, mandatory)",
    "Relay.run(self)": "got nothing by that name",
    "MAX_PAUSES": "got nothing by that name",
}


@pytest.mark.parametrize("signature", WRONG)
def test_what_is_missing_private_or_changed_is_named(product: Path, signature: str) -> None:
    with pytest.raises(NotAsExpected) as refusal:
        check([Patched("publisher", signature)], [product])

    assert str(refusal.value).startswith(f"publisher.{signature.partition('(')[0]}: ")
    assert str(refusal.value).endswith(WRONG[signature])


def test_what_is_in_a_missing_module_is_named(product: Path) -> None:
    with pytest.raises(NotAsExpected, match=r"relay\.run: .* got nothing by that name"):
        check([Patched("relay", "run()")], [product])
