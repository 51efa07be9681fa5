"""What every process needs: stopping, waiting, and reporting its health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from admit_one.front_page import lazily

if TYPE_CHECKING:
    from .announcer import Announcer as Announcer
    from .service_command import ServiceCommand as ServiceCommand
    from .stopping import Stop as Stop
    from .stopping import next_delay as next_delay

__getattr__ = lazily(
    __name__,
    {
        ".announcer": ["Announcer"],
        ".service_command": ["ServiceCommand"],
        ".stopping": ["Stop", "next_delay"],
    },
)
