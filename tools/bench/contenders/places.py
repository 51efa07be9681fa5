"""Places for the runs of the bare loop and of the textbook way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tools.bench.stage import Stage
from tools.system import broker

from .place import Place

WAITING = "SELECT count(*) FROM subscription WHERE access_code IS NULL"
HAS_CODE = "SELECT 1 FROM subscription WHERE id = %s AND access_code IS NOT NULL"


@dataclass(frozen=True)
class Places:
    """Makes places: copies of two databases, and names of their own on the broker.

    Both lists of names lack the prefix, which is another one each time.
    """

    stage: Stage
    payment: str
    student: str
    queues: Sequence[str]
    exchanges: Sequence[str]

    @contextmanager
    def new(self, mail: str = "") -> Iterator[Place]:
        """A place of which nothing is left afterwards."""
        stage = self.stage
        with stage.databases.copies(payment=self.payment, student=self.student) as copies:
            place = Place(
                payment_database=copies["payment"],
                student_database=copies["student"],
                broker=stage.broker_url,
                prefix=stage.new_prefix(),
                mail=mail,
            )
            try:
                yield place
            finally:
                broker.delete(
                    place.broker,
                    queues=[place.prefix + name for name in self.queues],
                    exchanges=[place.prefix + name for name in self.exchanges],
                )
