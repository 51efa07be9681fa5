"""Finds words that the project no longer uses, listed in `words.toml`.

`make check` refuses them in every text file of the repository.
Identifiers are split into words: `next_try` and `NextTry` count as "next try".
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from .system.commands import ROOT

WORDS = Path(__file__).with_name("words.toml")
NOT_OURS = (
    "*.lock",
    "requirements.txt",
    "LICENSE",
    "tools/words.toml",
    "tools/tests/test_words.py",
)
"""Generated, legal, or about these words."""

NAME = re.compile(r"_|(?<=[a-z])(?=[A-Z])")
"""The boundaries between the words of an identifier."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """An old word: `pattern` finds it, in files that match `within` but none of `allowed`."""

    pattern: re.Pattern[str]
    instead: str
    within: str = "*"
    allowed: Sequence[str] = ()

    def find(self, line: str) -> str:
        """The old word in a line; empty if there is none."""
        match = self.pattern.search(line) or self.pattern.search(NAME.sub(" ", line))
        return match[0].strip() if match else ""


def old_words(file: Path = WORDS) -> list[Word]:
    """The words in a TOML file. Raises `re.error` or `TypeError` for an invalid entry."""
    entries = tomllib.loads(file.read_text(encoding="utf-8"))["word"]
    return [
        Word(pattern=re.compile(entry.pop("pattern"), re.IGNORECASE), **entry) for entry in entries
    ]


def check(root: Path = ROOT, words: Path = WORDS) -> str:
    """Every old word where it is not allowed, and every exception that is not needed."""
    rules = old_words(words)
    try:
        texts = dict(_texts(root))
    except FileNotFoundError:
        return "git lists the files, and there is none here: sudo apt install git"
    except subprocess.CalledProcessError as error:
        return f"git lists the files of a clone, and here it says: {error.stderr.strip()}"
    problems = [problem for word in rules for problem in _problems(word, texts)]
    return "\n".join(problems)


def _texts(root: Path) -> Iterator[tuple[str, str]]:
    """Path and content of the text files in a folder, without those that git ignores."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    paths = subprocess.run(listing, cwd=root, capture_output=True, text=True, check=True).stdout
    for path in sorted(filter(None, paths.split("\0"))):
        if any(fnmatchcase(path, pattern) for pattern in NOT_OURS):
            continue
        try:
            yield path, (root / path).read_text(encoding="utf-8")
        except (
            FileNotFoundError,
            UnicodeDecodeError,
        ):  # deleted and not yet committed, or an image
            continue


def _problems(word: Word, texts: dict[str, str]) -> Iterator[str]:
    needed = set()
    for path, text in texts.items():
        if not fnmatchcase(path, word.within):
            continue
        allowed = [pattern for pattern in word.allowed if fnmatchcase(path, pattern)]
        for number, line in enumerate([path, *text.splitlines()]):
            if old := word.find(line):
                needed.update(allowed)
                if allowed:
                    break
                where = f"{path}:{number}" if number else f"{path} (its name)"
                yield f'{where}: "{old}": say {word.instead}'
    for pattern in word.allowed:
        if pattern not in needed:
            yield f"tools/words.toml: {word.pattern.pattern!r} need not be allowed in {pattern}"
