"""The counts of this process, and the thread that adds them to those of the others every second.

The thread starts with the first request that is counted, sleeps while there are none, and ends
with the process. What it has not added by then is lost to the others: a second's worth.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from admit_one.database import outage
from admit_one.masking import mask
from admit_one.processes.announcer import Announcer
from admit_one.processes.stopping import next_delay
from admit_one.web.models import ApiKey

from . import stores
from .counts import WINDOW, Counts, Tally

SHARE_EVERY = 1.0
"""Seconds."""

LONGEST_PAUSE = 10.0
"""Seconds between two attempts while the store is unavailable."""

IDLE = 30.0
"""Seconds without a request after which the thread closes its connections."""

ADDRESSES_AT_MOST = 10_000
"""That a process counts at a time."""

keys = Counts()
"""Requests by the prefix of their key."""

addresses = Counts(ADDRESSES_AT_MOST)
"""Requests without a valid key by client address."""

together = Counts()
"""All requests without a valid key."""


class Sharer:
    """Adds the counts of this process to the store's, and takes over the totals of all."""

    def __init__(self) -> None:
        self._new = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._announcer, self._uses_announcer = Announcer(), Announcer()
        self._noted: dict[str, int] = {}
        """The minute in which a key's use was last noted."""
        self._pruned_in = 0

    def soon(self) -> None:
        """Have the counts added within a second. Returns at once."""
        if not self._new.is_set():
            self._new.set()
        # A thread does not survive a fork, nor a fault of ours.
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def share(self) -> None:
        """Add what is new, and note which keys were used.

        Raises what the store raises while it is away, and then adds it the next time; or a database
        error, if only the note could not be written.
        """
        store = stores.chosen()
        new_of_keys = keys.drain()
        drained = [*new_of_keys, *addresses.drain(), *together.drain()]
        if not drained:
            return
        try:
            totals, now = store.add(drained)
        except BaseException:
            for counts in (keys, addresses, together):
                counts.give_back(drained)
            raise
        for counts in (keys, addresses, together):
            counts.learn(totals, now)
        minute = int(now // WINDOW)
        self._note_uses(new_of_keys, minute)
        if minute != self._pruned_in:
            store.prune(before=minute - 2)
            self._pruned_in = minute

    def _note_uses(self, counted: Iterable[Tally], minute: int) -> None:
        used = {each.subject for each in counted}
        due = sorted(prefix for prefix in used if self._noted.get(prefix) != minute)
        if due:
            ApiKey.objects.note_use(due, datetime.fromtimestamp(minute * WINDOW, UTC))
            kept = {prefix: at for prefix, at in self._noted.items() if at == minute}
            self._noted = {**kept, **dict.fromkeys(due, minute)}

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="sharing", daemon=True)
                self._thread.start()

    def _forget_connections(self) -> None:
        stores.chosen().forget_connection()
        outage.forget_connection()

    def _run(self) -> None:
        failures = 0
        while True:
            if not self._new.wait(IDLE):
                self._forget_connections()
                continue
            time.sleep(max(SHARE_EVERY, next_delay(failures, first=1.0, most=LONGEST_PAUSE)))
            self._new.clear()
            failures = 0 if self._try_to_share() else failures + 1

    def _try_to_share(self) -> bool:
        store = stores.chosen()
        try:
            outage.refresh_connection()
            self.share()
        except store.OUTAGE_ERRORS as error:
            self._forget_connections()
            self._new.set()
            self._announcer.trouble(
                "counts_not_shared",
                "requests are counted in this process only, because {place} does not take "
                "the counts: {error}",
                place=store.PLACE,
                error=mask(str(error)).strip(),
            )
            return False
        except outage.DATABASE_ERRORS as error:
            self._forget_connections()
            self._uses_announcer.trouble(
                "uses_not_noted",
                "the last use of API keys is not noted, because the database is unavailable: "
                "{error}",
                error=mask(str(error)).strip(),
            )
        else:
            self._uses_announcer.over("uses_noted", "the last use of API keys is noted again")
        self._announcer.over("counts_shared", "the counts of all processes are added up again")
        return True


sharer = Sharer()
