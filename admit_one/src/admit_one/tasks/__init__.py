"""The Celery app of a service, and the time limit of its tasks' runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admit_one.front_page import lazily
from admit_one.processes.command_line import end_on_signals

if TYPE_CHECKING:
    from .app import make_app as make_app
    from .runs import for_a_run as for_a_run
    from .runs import in_batches as in_batches
    from .runs import stopping as stopping

# A service's Celery module begins with this one: from here on a signal ends the process.
end_on_signals()

__getattr__ = lazily(
    __name__, {".app": ["make_app"], ".runs": ["for_a_run", "in_batches", "stopping"]}
)
