"""What all tools have in common: their argument parser, and output to any terminal."""

from __future__ import annotations

import argparse
import codecs
import io
import sys

PLAIN = {"✓": "ok", "✗": "failed", "→": "->", "…": "...", "–": "-", "·": "-"}
"""What is written where the terminal's encoding lacks a character; for all others `?`."""


def parser(prog: str, description: str | None) -> argparse.ArgumentParser:
    """A parser whose --help shows the description as written. Prepares the output, too."""
    fit_for_any_terminal()
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog, description=description, formatter_class=formatter)


def fit_for_any_terminal() -> None:
    """Let no character that the terminal's encoding lacks end the tool."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(character, "?") for character in lacking), error.end
