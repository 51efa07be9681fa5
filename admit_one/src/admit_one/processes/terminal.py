"""Where a command prints: in any encoding, through any pipe, and to nobody any more.

An error of the terminal is the terminal's: it ends the command quietly, and is never taken for one
of the broker or of the database, whose errors are of the same classes.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, TextIO

from django.core.management.base import OutputWrapper

from admit_one.masking import mask


class Unread(SystemExit):
    """Nobody reads the output, or it cannot be written. No handler of errors catches it."""


class Stdout(io.TextIOWrapper):
    """`sys.stdout`, for commands that know nothing of us, such as Django's. Raises `Unread`."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise _unread(self, error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _unread(self, error) from None


class Output(OutputWrapper):
    """Standard output of a command. Raises `Unread`."""

    def write(  # type: ignore[override]  # as Django's own does
        self,
        msg: str = "",
        style_func: Callable[[str], str] | None = None,
        ending: str | None = None,
    ) -> None:
        try:
            super().write(msg, style_func, ending)
        except OSError as error:
            raise _unread(self._out, error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise _unread(self._out, error) from None


class Complaints(OutputWrapper):
    """Standard error of a command, masked. If nobody reads it, nobody complains about that."""

    def write(  # type: ignore[override]  # as Django's own does
        self,
        msg: str = "",
        style_func: Callable[[str], str] | None = None,
        ending: str | None = None,
    ) -> None:
        try:
            super().write(mask(msg), style_func, ending)
        except OSError:
            _discard_rest(self._out)


def prepare() -> None:
    """Make standard output and error fit for any command, also those closed before the start."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    ours = isinstance(sys.stdout, Stdout)
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper) and not ours:
        given = sys.stdout
        encoding, by_line, at_once = given.encoding, given.line_buffering, given.write_through
        stdout = Stdout(
            given.detach(),
            encoding,
            errors="backslashreplace",
            line_buffering=by_line,
            write_through=at_once,
        )
        sys.stdout = sys.__stdout__ = stdout  # type: ignore[misc]  # "keep out", says its name


def output() -> Output:
    """What this process prints to, whatever its encoding, open or not."""
    return Output(_usable(sys.stdout))


def complaints() -> Complaints:
    return Complaints(_usable(sys.stderr))


def _usable(stream: TextIO | None) -> TextIO:
    if stream is None:  # it was closed before the start
        return io.StringIO()
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _unread(stream: Any, error: OSError) -> Unread:
    _discard_rest(stream)
    if error.errno == errno.EPIPE:  # as with `| head -1`
        return Unread(128 + signal.SIGPIPE)
    return Unread(f"the output cannot be written: {error.strerror}")


def _discard_rest(stream: Any) -> None:
    """Else the interpreter would try again to write what is left, and complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
