"""Old words are refused everywhere; ordinary English is not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import words

RULES = """
[[word]]
pattern = '\\btold\\b(?! apart)'
instead = "reported"
allowed = ["docs/*"]
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the old word only where it is allowed."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "old.md").write_text("Nobody was told.\n")
    return tmp_path


def check(repository: Path, rules: str = RULES) -> list[str]:
    file = repository.parent / f"{repository.name}.toml"
    file.write_text(rules)
    return words.check(repository, file).splitlines()


def test_an_old_word_is_reported_with_its_line_and_the_new_word(repository: Path) -> None:
    (repository / "a.py").write_text('"""New."""\n\n# Nobody is told.\n')

    assert check(repository) == ['a.py:3: "told": say reported']


@pytest.mark.parametrize("name", ["test_nobody_is_told", "NobodyTold", "TOLD", "told_2"])
def test_an_old_word_in_an_identifier_is_found(repository: Path, name: str) -> None:
    (repository / "a.py").write_text(f"{name} = 1\n")

    assert len(check(repository)) == 1


def test_an_old_word_in_a_file_name_is_found(repository: Path) -> None:
    (repository / "test_told.py").write_text("")

    assert check(repository) == ['test_told.py (its name): "told": say reported']


def test_an_exception_that_is_not_needed_is_refused(repository: Path) -> None:
    (repository / "docs" / "old.md").write_text("Nobody knew.\n")

    [problem] = check(repository)

    assert problem.endswith("need not be allowed in docs/*")


def test_images_and_files_that_git_ignores_are_skipped(repository: Path) -> None:
    (repository / ".gitignore").write_text("var\n")
    (repository / "var").write_text("told\n")
    (repository / "image.png").write_bytes(b"\x89PNG told")

    assert check(repository) == []


@pytest.mark.parametrize(
    "line",
    [
        "The two are told apart by their prefix.",
        "Ask the broker: whoever asks, asked for less, or is asking once.",
        "It keeps its settings for a moment, and readers need not be strange.",
        "for one in ten messages, which is one = 1 of them",
        "in order to close what was found = nothing",
        "The broker is away; what it says, and what it tells us, is settling.",
        "queue_watch.py and message_properties.py",
    ],
)
def test_ordinary_english_is_not_refused(line: str) -> None:
    assert [word.instead for word in words.old_words() if word.find(line)] == []


def test_outside_of_a_clone_the_answer_of_git_is_shown(tmp_path: Path) -> None:
    assert words.check(tmp_path).startswith("git lists the files of a clone, and here it says: ")
