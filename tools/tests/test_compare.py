"""The comparison counts lines as documented, and kills each contender at its points."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.compare import program, report
from tools.compare.contender import BROKER, CRASH_POINTS, PAYER, Contender
from tools.compare.contenders import CONTENDERS, DEAD_QUEUE
from tools.compare.performance import ContenderResult, Cost

each_contender = pytest.mark.parametrize("contender", CONTENDERS, ids=lambda one: one.slug)


def a_contender(*folders: str) -> Contender:
    return Contender("one", "", (), folders, (), {}, {}, DEAD_QUEUE)


def test_blank_lines_and_comments_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "PROGRAMS", tmp_path)
    write(tmp_path / "mine" / "app.py", "# why\n\nx = 1\n    # more\ny = 2\n")

    assert program.lines(a_contender("common", "mine")) == 2


def test_a_replaced_file_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "PROGRAMS", tmp_path)
    write(tmp_path / "plain" / "app.py", "x = 1\n")
    write(tmp_path / "option" / "app.py", "x = 1\ny = 2\n")

    assert program.lines(a_contender("common", "plain", "option")) == 2


def test_common_files_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "PROGRAMS", tmp_path)
    write(tmp_path / "common" / "pay.py", "x = 1\n")
    write(tmp_path / "mine" / "models.py", "x = 1\n")

    assert program.lines(a_contender("common", "mine")) == 0


@each_contender
def test_each_contender_has_a_kill_for_every_crash_point(contender: Contender) -> None:
    assert set(contender.kills) == {*CRASH_POINTS} - {BROKER}
    assert {kill.process for kill in contender.kills.values()} <= {PAYER, *contender.processes}


@each_contender
def test_the_program_of_each_contender_is_complete(contender: Contender, tmp_path: Path) -> None:
    program.copy(contender, tmp_path / "program")

    for module in ("run.py", "pay.py", "shop/services.py", "access/codes.py"):
        assert (tmp_path / "program" / module).exists()


def test_only_the_text_between_the_marks_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "compared.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    costs = {point: Cost(paid=10, lost=1, doubled=2, kills=3) for point in CRASH_POINTS}

    report.write(
        document, [ContenderResult(a_contender("common"), 7, costs)], {"Date": "2026-01-02"}
    )

    text = document.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| one | 7 | 1 / 2 of 10 |" in text
    assert "old" not in text


def test_a_document_without_marks_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "compared.md"
    document.write_text("no marks\n", encoding="utf-8")

    with pytest.raises(ValueError, match="expected the lines"):
        report.write(document, [], {})


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
