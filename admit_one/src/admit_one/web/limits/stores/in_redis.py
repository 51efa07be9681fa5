"""Adds up in Redis what each process has counted (see `counting`), in one script.

A key holds a minute and the one before, and expires by itself. If Redis loses its keys, or evicts
some, their counts start again: a limit is then exceeded once, by no more than itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from admit_one.web.limits.counts import WINDOW, Tally

SECONDS = 2.0
"""For a connection, and for an answer. Only the thread that shares the counts waits."""

KEPT = 3 * WINDOW
"""Seconds after which a count that nothing was added to has no weight any more."""

# It runs alone, so nothing changes meanwhile. The minute may be later than the clock: another
# server had this key before, whose clock is ahead. Then what is given belongs to the minute before.
ADD = """
local time = redis.call('TIME')
local minute = math.floor(time[1] / ARGV[1])
local answer = {string.format('%d.%06d', time[1], time[2])}
for i, key in ipairs(KEYS) do
  local new, before = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
  local kept = redis.call('HMGET', key, 'minute', 'count', 'previous')
  local at, count, previous = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3])
  if at == minute then
    count, previous = count + new, previous + before
  elseif at == minute - 1 then
    at, count, previous = minute, new, count + before
  elseif at == minute + 1 then
    previous = previous + new
  else
    at, count, previous = minute, new, before
  end
  redis.call('HSET', key, 'minute', at, 'count', count, 'previous', previous)
  redis.call('EXPIRE', key, ARGV[2])
  table.insert(answer, {at, count, previous})
end
return answer
"""


class RedisStore:
    """A store that expires what has no weight any more. For one thread at a time."""

    PLACE = "Redis"
    OUTAGE_ERRORS = (RedisError,)

    def __init__(self, url: str) -> None:
        # Without attempts of its own: the caller tries again, a second's counts later.
        self._redis = Redis.from_url(
            url,
            socket_timeout=SECONDS,
            socket_connect_timeout=SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._add = self._redis.register_script(ADD)

    def add(self, uncounted: Sequence[Tally]) -> tuple[list[Tally], float]:
        keys = [_key(each.subject) for each in uncounted]
        counted = [number for each in uncounted for number in (each.requests, each.previous)]
        now, *totals = self._add(keys=keys, args=[WINDOW, KEPT, *counted])
        pairs = zip(uncounted, totals, strict=True)
        return [Tally(given.subject, *total) for given, total in pairs], float(now)

    def prune(self, before: int) -> None:
        """Nothing: each key expires."""

    def forget_connection(self) -> None:
        self._redis.connection_pool.disconnect()


def _key(subject: str) -> str:
    """Each service counts for itself. One slot, so that the script may use all keys."""
    return f"{{{settings.MESSAGING['SERVICE']}.limits}}:{subject}"
