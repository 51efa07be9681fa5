"""The base class of the commands of the library and of the services."""

from __future__ import annotations

import logging
import logging.config
import signal
import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error

from admit_one.logs import configuration
from admit_one.masking import mask, mask_tracebacks

from . import terminal
from .command_line import end_on_signals
from .database_errors import UNAVAILABLE, explained


class MaskingParser(CommandParser):
    """Refuses arguments without repeating a code, an address or a key among them."""

    def error(self, message: str) -> Any:
        super().error(mask(message))


class ServiceCommand(BaseCommand):
    """A command that starts fast: it runs only the checks of messaging and sealing.

    Importing every view, as all of Django's checks do, would double the start-up time. A project
    without a logging configuration gets ours, to show when a process is ready.
    """

    requires_system_checks: tuple[str, ...] = ("messaging", "sealing")

    def run_from_argv(self, argv: Sequence[str]) -> None:
        """Run it; refuse arguments that are not UTF-8, which could not be stored or shown.

        Whatever it prints on is the terminal's matter: see `terminal`.
        """
        end_on_signals()
        mask_tracebacks()
        terminal.prepare()  # as `manage.py` does: a project's own may not
        style_of_errors = self.stderr.style_func
        self.stdout, self.stderr = terminal.output(), terminal.complaints()
        self.stderr.style_func = style_of_errors
        try:
            " ".join(argv).encode()
        except UnicodeEncodeError:
            self.stderr.write("expected arguments in UTF-8")
            sys.exit(2)
        try:
            super().run_from_argv(list(argv))
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        except Error as error:
            if "--traceback" in argv or not (why := explained(error)):
                raise
            self.stderr.write(why)
            sys.exit(UNAVAILABLE)
        finally:
            self.stdout.flush()

    def add_base_argument(self, parser: CommandParser, *args: Any, **kwargs: Any) -> None:
        # Django names its own class, and calls this first: subcommands get the class of `parser`.
        parser.__class__ = MaskingParser
        super().add_base_argument(parser, *args, **kwargs)

    def execute(self, *args: Any, **options: Any) -> str | None:
        if not logging.getLogger().handlers:
            logging.config.dictConfig(configuration("INFO"))
        return super().execute(*args, **options)

    def overwrite(self, text: str) -> None:
        """Overwrite the last line, on a terminal only; an empty text clears it."""
        if self.stderr.isatty():
            self.stderr.write(f"\r\x1b[K{text}", style_func=str, ending="")
