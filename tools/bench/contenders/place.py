"""Where the processes of the bare loop and of the textbook way work: from their environment."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Place:
    """The databases, the broker, the prefix of every name on it, and the mail server."""

    payment_database: str
    student_database: str
    broker: str
    prefix: str
    mail: str = ""

    def as_environment(self) -> dict[str, str]:
        return {f"CONTENDER_{name.upper()}": value for name, value in asdict(self).items()}

    @classmethod
    def from_environment(cls) -> Self:
        return cls(
            **{name: os.environ[f"CONTENDER_{name.upper()}"] for name in cls.__dataclass_fields__}
        )
