"""Every tool can write to every terminal."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tools.system.commands import ROOT

SAY = "from tools import command_line; command_line.parser('x', 'y'); print('✓ → ä ☃')"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "✓ → ä ☃"), ("iso-8859-1", "ok -> ä ?"), ("ascii", "ok -> ? ?")],
)
def test_what_a_terminal_cannot_show_is_written_in_plain_signs(
    encoding: str, expected: str
) -> None:
    said = subprocess.run(
        [sys.executable, "-c", SAY],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=True,
    ).stdout

    assert said.decode(encoding).strip() == expected
