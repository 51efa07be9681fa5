"""What the commands of messaging and of the services have in common."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

from django.core.management.base import BaseCommand

from admit_one.logs import configuration


class ServiceCommand(BaseCommand):
    """A command that starts fast: it checks the messaging, and leaves the API's addresses alone.

    To import every view, as Django's checks would, takes as long as all the rest. A project that
    has set up no logging gets ours, or nobody would see that a process is ready.
    """

    requires_system_checks = ("messaging", "sealing")

    def execute(self, *args: Any, **options: Any) -> str | None:
        if not logging.getLogger().handlers:
            logging.config.dictConfig(configuration("INFO"))
        return super().execute(*args, **options)
