"""`make check` shows every problem and says how to fix it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import check


def test_a_requirement_that_differs_from_the_lock_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "requirements.txt"
    other.write_text(check.REQUIREMENTS.read_text().replace("\ndjango==", "\ndjango==0.", 1))
    monkeypatch.setattr(check, "REQUIREMENTS", other)

    problem = check.requirements()

    assert "-django==0." in problem
    assert "+django==" in problem


def test_the_output_of_a_failing_command_is_shown() -> None:
    problem = check.ran(["sh", "-c", "echo this is wrong; echo and that >&2; exit 1"])

    assert problem == "this is wrong\nand that\n"


def test_a_command_that_fails_without_output_is_a_failure_too() -> None:
    assert check.ran(["false"]) == "exit code 1"
    assert check.ran(["true"]) == ""


def test_every_failure_is_shown_not_only_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        check,
        "CHECKS",
        {
            "first": check.Check(lambda: "wrong", "fix the first"),
            "second": check.Check(lambda: "", "-"),
            "third": check.Check(lambda: "wrong too", "fix the third"),
        },
    )
    monkeypatch.setattr("sys.argv", ["check"])

    with pytest.raises(SystemExit, match="2 of 3 checks failed: first, third"):
        check.main()

    shown = capsys.readouterr().out
    assert "to fix it: fix the first" in shown
    assert "to fix it: fix the third" in shown
