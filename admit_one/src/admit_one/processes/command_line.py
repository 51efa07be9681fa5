"""How `manage.py` begins and ends: a signal ends it from its first line on, quietly.

It imports Django only when it is called: whatever is imported first cannot be interrupted by a
signal that this process ignores, as the first process of a container does by default, and what a
shell starts in the background does with SIGINT.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

UNSET = {signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler, None}
"""Handlers that nobody has set for the work of this process."""


def end_on_signals() -> None:
    """Let SIGTERM and SIGINT end this process until its work sets handlers of its own.

    Nothing is done in other threads, which may set no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) in UNSET:
        signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGINT) in UNSET:
        # An exception: a prompt for a password has to give the terminal its echo back.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run(settings: str) -> None:
    """Run the command that the arguments name, with this settings module unless another is set."""
    end_on_signals()
    try:
        _run(settings)
    except KeyboardInterrupt:
        # Without the interpreter's own end, in which another signal would show a traceback.
        _flush()
        os._exit(128 + signal.SIGINT)


def _run(settings: str) -> None:
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    from admit_one.masking import mask  # noqa: PLC0415

    from . import terminal  # noqa: PLC0415

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings)
    terminal.prepare()
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # its text says what is expected; a traceback hides it
        sys.exit(mask(str(error)))
    finally:
        sys.stdout.flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # closed, or nobody reads it
            continue


def _end(number: int, _: FrameType | None) -> None:
    # At once: as the first process of a container it cannot die of the signal itself.
    os._exit(128 + number)
