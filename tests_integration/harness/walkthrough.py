"""Does what a tutorial says, block by block, as its reader would.

What a fenced block is stands behind its language:

    ```python billing/models.py      a file to write; with + before its name, to append to
    ```sh                            commands, each of which must succeed
    ```sh env                        a file that every terminal reads first
    ```sh background                 commands that go on in a terminal of their own
    ```sh until                      a command to repeat until it prints the text that follows
    ```text                          lines that the last command must have printed
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .eventually import eventually

FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    what: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page that say what they are; a fence without a language is only shown."""
    return [Block(*(part or "" for part in fence.groups())) for fence in FENCE.finditer(page)]


class Walkthrough:
    """A reader in an empty `folder`, with `changes` to the variables that `env` sets."""

    def __init__(self, folder: Path, wheel: Path, changes: Mapping[str, str]) -> None:
        self._folder = folder
        self._wheel = wheel
        self._changes = changes
        self._terminals: list[subprocess.Popen[bytes]] = []
        self._printed = ""

    def follow(self, blocks: list[Block]) -> None:
        """Do every block in order. Raises `AssertionError` naming the one that failed."""
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
        """End everything that still runs."""
        for terminal in self._terminals:
            if terminal.poll() is None:
                os.killpg(terminal.pid, signal.SIGKILL)
            terminal.wait()

    def _write(self, file: str, text: str) -> None:
        path = self._folder / file.removeprefix("+")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if file.startswith("+") else "w") as written:
            written.write(text)

    def _run(self, script: str) -> str:
        script = script.replace('"admit-one[messaging]"', f'"{self._wheel}[messaging]"')
        done = subprocess.run(
            # By standard input, or `pkill -f` would find the shell that runs it.
            ["bash", "-eus"],
            input=self._in_terminal(script),
            cwd=self._folder,
            env=self._clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def _open_terminal(self, command: str) -> None:
        log = (self._folder / f"terminal-{len(self._terminals)}.log").open("wb")
        assignments, _, program = command.rpartition("python ")
        script = self._in_terminal(f"export {assignments}\nexec python {program}")
        with log:
            self._terminals.append(
                subprocess.Popen(
                    ["bash", "-euc", script],
                    cwd=self._folder,
                    env=self._clean_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        eventually(lambda: Path(log.name).read_text(), lambda text: " ready" in text)

    def _until(self, command: str, text: str) -> None:
        eventually(lambda: self._run(command), lambda printed: text in printed, within=60)

    def _expect(self, text: str) -> None:
        missing = [line for line in text.splitlines() if line not in self._printed]
        assert missing == [], self._printed

    def _in_terminal(self, script: str) -> str:
        return f". ./env\n{script}" if (self._folder / "env").exists() else script

    def _clean_environment(self) -> dict[str, str]:
        """The reader's environment: nothing of the process that runs the tests."""
        kept = ("HOME", "LANG", "TMPDIR", "PIP_CERT", "PIP_INDEX_URL", "PIP_FIND_LINKS")
        path = os.pathsep.join([str(Path(shutil.which("bash") or "").parent), os.defpath])
        return {
            "PATH": f"{_python()}{os.pathsep}{path}",
            **{name: os.environ[name] for name in kept if name in os.environ},
        }


def _python() -> Path:
    """The folder of a python3 that is in no virtual environment."""
    return Path(sys.base_prefix) / "bin"


def python_in(blocks: list[Block], folders: tuple[str, ...]) -> Iterator[str]:
    """The lines of Python, without blank ones, that a reader writes in these folders."""
    for block in blocks:
        file = block.what.removeprefix("+")
        if block.language == "python" and file.startswith(folders) and "tests" not in file:
            yield from (line for line in block.text.splitlines() if line.strip())
