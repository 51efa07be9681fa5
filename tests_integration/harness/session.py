"""A page's commands as one session in a terminal, and what each must have printed.

```sh env      the reader's variables, which the test replaces
```sh          commands, each of which must succeed
```sh until    repeated until they print the next block
```text        parts of what the commands before it printed
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .walkthrough import Block

END = "--- end of step ---"
TRIES, PAUSE = 300, 0.1


class Step(NamedTuple):
    commands: str
    printed: str
    expected: list[str]

    @property
    def missing(self) -> list[str]:
        """What it should have printed and did not."""
        return [part for part in self.expected if part not in self.printed]


def run(blocks: Sequence[Block], variables: Mapping[str, str], folder: Path) -> list[Step]:
    """Run the commands in one shell. Raises `AssertionError` if one fails."""
    steps = [block for block in blocks if block.language == "sh" and block.what != "env"]
    expected = {steps_before(blocks, n): block for n, block in enumerate(blocks) if is_text(block)}
    lines = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    for number, block in enumerate(steps, 1):
        wanted = expected[number].text.splitlines() if number in expected else []
        lines += [until(block.text, wanted) if block.what == "until" else block.text]
        lines += [f"echo; echo {shlex.quote(END)}"]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return [
        Step(block.text, printed, expected[n].text.splitlines() if n in expected else [])
        for n, (block, printed) in enumerate(zip(steps, done.stdout.split(END), strict=False), 1)
    ]


def is_text(block: Block) -> bool:
    return block.language == "text"


def steps_before(blocks: Sequence[Block], place: int) -> int:
    """How many steps come before this place."""
    return sum(block.language == "sh" and block.what != "env" for block in blocks[:place])


def until(commands: str, wanted: Sequence[str]) -> str:
    """Repeat the commands until they have printed all that is wanted, or for `TRIES`."""
    all_printed = " && ".join(f"[[ $printed == *{shlex.quote(part)}* ]]" for part in wanted)
    return (
        f"for _ in $(seq {TRIES}); do printed=$({commands}) || true; {all_printed} && break; "
        f'sleep {PAUSE}; done; echo "$printed"'
    )
