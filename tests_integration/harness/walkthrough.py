"""Follows a tutorial block by block, as a reader would.

The words after a fence's language say what to do with the block:

    ```python billing/models.py      write it to this file; with + before the name, append it
    ```sh                            run the commands, each of which must succeed
    ```sh env                        source it first in every terminal
    ```sh background                 run each command in its own terminal
    ```sh until                      repeat the command until it prints the next block
    ```text                          the last command must have printed these lines
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.anywhere import machine
from tools.system.eventually import eventually
from tools.system.process import Process, says

PKILL = Path(__file__).with_name("pkill.py")
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    what: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """The fenced blocks with a language; others are not followed."""
    return [Block(*(part or "" for part in fence.groups())) for fence in FENCE.finditer(page)]


class Walkthrough:
    """A reader in an empty `folder`; `changes` override the variables of the `env` block."""

    def __init__(self, folder: Path, wheel: Path, changes: Mapping[str, str]) -> None:
        self._folder = folder
        self._wheel = wheel
        self._changes = changes
        self._terminals: list[Process] = []
        self._printed = ""

    def follow(self, blocks: list[Block]) -> None:
        """Follow all blocks in order. Raises `AssertionError` naming the one that failed."""
        steps = iter(blocks)
        for block in steps:
            match block.language, block.what:
                case "sh", "env":
                    exports = (
                        f"export {name}='{value}'\n" for name, value in self._changes.items()
                    )
                    (self._folder / "env").write_text(block.text + "".join(exports))
                case "sh", "background":
                    for command in block.text.splitlines():
                        self._open_terminal(command)
                case "sh", "until":
                    self._until(block.text, next(steps).text)
                case "sh", _:
                    self._printed = self._run(block.text)
                case "text", _:
                    self._expect(block.text)
                case _, file:
                    self._write(file, block.text)

    def close(self) -> None:
        for terminal in self._terminals:
            terminal.end(0)

    def _write(self, file: str, text: str) -> None:
        path = self._folder / file.removeprefix("+")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if file.startswith("+") else "w") as written:
            written.write(text)

    def _run(self, script: str) -> str:
        done = self._done(script)
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def _done(self, script: str) -> subprocess.CompletedProcess[str]:
        script = script.replace('"admit-one[messaging]"', f'"{self._wheel}[messaging]"')
        return subprocess.run(
            ["bash", "-eus"],
            input=self._own_pkill() + self._in_terminal(script),
            cwd=self._folder,
            env=self._clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _own_pkill(self) -> str:
        """A `pkill` limited to these terminals, as other tests may follow the page as well."""
        groups = ",".join(str(terminal.pid) for terminal in self._terminals)
        return f'pkill() {{ {shlex.join([sys.executable, str(PKILL)])} "{groups}" "$@"; }}\n'

    def _open_terminal(self, command: str) -> None:
        assignments, _, program = command.rpartition("python ")
        name = f"terminal-{len(self._terminals)}"
        terminal = Process(
            name,
            ["bash", "-euc", self._in_terminal(f"export {assignments}\nexec python {program}")],
            log=self._folder / f"{name}.log",
            is_ready=says(" ready"),
            cwd=self._folder,
            env=self._clean_environment(),
        )
        self._terminals.append(terminal)
        terminal.until_ready()

    def _until(self, command: str, text: str) -> None:
        eventually(lambda: self._done(command).stdout, lambda printed: text in printed, within=60)

    def _expect(self, text: str) -> None:
        missing = [line for line in text.splitlines() if line not in self._printed]
        assert missing == [], self._printed

    def _in_terminal(self, script: str) -> str:
        return f". ./env\n{script}" if (self._folder / "env").exists() else script

    def _clean_environment(self) -> dict[str, str]:
        """The reader's environment, without the one of the tests."""
        kept = ("HOME", "LANG", "TMPDIR")
        path = os.pathsep.join([str(Path(shutil.which("bash") or "").parent), os.defpath])
        return {
            "PATH": f"{_python()}{os.pathsep}{path}",
            **{name: os.environ[name] for name in kept if name in os.environ},
            **machine.environment(),
        }


def _python() -> Path:
    """The folder of a python3 outside of any virtual environment."""
    return Path(sys.base_prefix) / "bin"


def python_in(blocks: list[Block], folders: tuple[str, ...]) -> Iterator[str]:
    """The non-blank lines of Python that a reader writes in these folders."""
    for block in blocks:
        file = block.what.removeprefix("+")
        if block.language == "python" and file.startswith(folders) and "tests" not in file:
            yield from (line for line in block.text.splitlines() if line.strip())
