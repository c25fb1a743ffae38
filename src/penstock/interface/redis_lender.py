"""Quotas that several machines share: their buckets are in Redis, and each front is lent tokens from there.

The script is the bucket of model/bucket.py, told in Lua, since nothing may come between looking and taking. Times are
Redis' own. What is not what the script itself has written is taken for a full bucket: it never writes a level that is
not between nothing and the burst, nor a loan of more than half the burst, nor loans that are all of it together.
"""

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from hashlib import sha1

from penstock.inference.redis import Redis, RedisAway, RedisRefused
from penstock.interface.lenders import Granted, Lender
from penstock.model.bucket import ASK_AGAIN_S, LAPSE_S, Grant, block_of
from penstock.model.control import Demand
from penstock.model.quota import Limit, Quotas
from penstock.observability import catalog
from penstock.observability.logs import Log
from penstock.observability.metrics import Figures

SCRIPT = """
local rate, burst, block = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local left, stamp = tonumber(ARGV[4]), ARGV[5]
local me, lapse_us, again_us = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local state = redis.pcall('HGETALL', KEYS[1])
if state.err or #state > 4096 then
  redis.call('DEL', KEYS[1])
  state = {}
end
local level, at, lent, loans = burst, now, 0, {}
for i = 1, #state, 2 do
  local name, value = state[i], state[i + 1]
  if name == 'level' then
    level = tonumber(value) or burst
  elseif name == 'at' then
    at = tonumber(value) or now
  else
    local tokens, ends = string.match(value, '^(%d+) (%d+)$')
    tokens, ends = tonumber(tokens), tonumber(ends)
    if tokens and tokens >= 1 and tokens <= burst / 2 then
      loans[#loans + 1] = {name = name, tokens = tokens, ends = ends}
      lent = lent + tokens
    else
      redis.call('HDEL', KEYS[1], name)
    end
  end
end
if lent >= burst then
  for _, loan in ipairs(loans) do redis.call('HDEL', KEYS[1], loan.name) end
  lent, loans = 0, {}
end
for _, loan in ipairs(loans) do
  if loan.ends > now + lapse_us then
    loan.ends = now + lapse_us
    redis.call('HSET', KEYS[1], loan.name, string.format('%d %.0f', loan.tokens, loan.ends))
  end
end
if not (level >= 0 and level <= burst) then level = burst end
if not (at <= now) then at = now end
level = math.min(level, burst - lent)

local function fill(upto)
  if upto > at then
    level = math.max(level, math.min(burst - lent, level + (upto - at) / 1000000 * rate))
    at = upto
  end
end
table.sort(loans, function(a, b) return a.ends < b.ends end)
local mine, back, last = nil, nil, now
for _, loan in ipairs(loans) do
  if loan.ends <= now then
    fill(loan.ends)
    lent = lent - loan.tokens
    redis.call('HDEL', KEYS[1], loan.name)
  elseif loan.name == me and string.format('%.0f', loan.ends) == stamp then
    back = loan
  else
    last = loan.ends
    mine = mine or loan.name == me
  end
end
fill(now)
if back then
  level = level + math.min(left, back.tokens)
  lent = lent - back.tokens
  redis.call('HDEL', KEYS[1], me)
end

local room, refused, wait_us, given, ends = math.floor(level), nil, 0, 0, 0
for i = 9, #ARGV do
  local size = tonumber(ARGV[i])
  if size <= level then
    level = level - size
  elseif not refused or size < refused then
    refused = size
  end
end
if refused then
  wait_us = (math.min(refused, burst) - level) / rate * 1000000
  if refused > burst - lent then wait_us = math.max(wait_us, last - now) end
  wait_us = math.ceil(math.max(wait_us, math.min(again_us, burst / rate * 500000)))
elseif not mine then
  given = math.min(block, math.floor(level / 2))
  if given > 0 then
    level = level - given
    ends = now + lapse_us
    redis.call('HSET', KEYS[1], me, string.format('%d %.0f', given, ends))
  end
end
redis.call('HSET', KEYS[1], 'level', string.format('%.17g', level), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000 + lapse_us / 1000) + 1000)
return {room, given, ends, math.floor(level), wait_us}
"""
DIGEST = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
MICROSECONDS = 1_000_000


class RedisLender:
    """Asks Redis, and while that is away the supervisor, whose buckets count for this machine alone.

    Says once that it is away, and once that it is back. Whatever was lent by one is not given back to the other.
    """

    def __init__(
        self, redis: Redis, quotas: Quotas, fronts: int, supervisor: Lender, log: Log, figures: Figures
    ) -> None:
        self._redis = redis
        self._quotas = quotas
        self._fronts = fronts
        self._supervisor = supervisor
        self._log = log
        self._failures = figures.counter(catalog.QUOTA_STORE_FAILURES).child()
        self._me = os.urandom(8).hex()
        self._away = False

    def ask(self, demands: Sequence[Demand], granted: Granted) -> None:
        _Round(self, demands, granted)

    def evaluate(self, demand: Demand, limit: Limit, *, script: bool) -> "asyncio.Future[object]":
        """Asks for one demand, by the digest of the script, or with all of it where Redis does not know that."""
        key = f"{self._redis.prefix}:quota:{{{demand.unit}:{demand.client}}}"
        return self._redis.ask(
            *(("EVAL", SCRIPT) if script else ("EVALSHA", DIGEST)),
            1, key, repr(limit.rate), limit.burst, block_of(limit, self._fronts), demand.left, demand.stamp, self._me,
            int(LAPSE_S * MICROSECONDS), int(ASK_AGAIN_S * MICROSECONDS), *demand.sizes,
        )  # fmt: skip

    def limit_of(self, demand: Demand) -> Limit | None:
        return self._quotas.of(demand.client).of(demand.unit)

    def answered(self) -> None:
        if self._away:
            self._away = False
            self._log.info("quota_store_back")

    def failed(self, demands: Sequence[Demand], reason: str, granted: Granted) -> None:
        """Has the supervisor grant what Redis could not be asked."""
        self._failures.value += len(demands)
        if not self._away:
            self._away = True
            self._log.warning(
                "quota_store_away", reason=reason, detail="each machine counts by itself until it is back"
            )
        self._supervisor.ask(demands, granted)


class _Round:
    """What was asked in one turn, until all of it is answered."""

    def __init__(self, lender: RedisLender, demands: Sequence[Demand], granted: Granted) -> None:
        self._lender = lender
        self._demands = demands
        self._granted = granted
        self._grants: list[Grant | None] = [None] * len(demands)
        self._missing = len(demands)
        self._reason = ""
        self._is_answered = False
        for place, demand in enumerate(demands):
            self._ask(place, demand, script=False)

    def _ask(self, place: int, demand: Demand, *, script: bool) -> None:
        limit = self._lender.limit_of(demand)
        if limit is None:  # it was taken away just now
            self._take(place, Grant(sum(demand.sizes)))
            return
        answer = self._lender.evaluate(demand, limit, script=script)
        answer.add_done_callback(partial(self._heard, place, demand))

    def _heard(self, place: int, demand: Demand, answer: "asyncio.Future[object]") -> None:
        try:
            grant = _grant(answer.result())
            self._is_answered = True
            self._take(place, grant)
        except RedisRefused as refused:
            if str(refused).startswith("NOSCRIPT"):
                self._ask(place, demand, script=True)
            else:
                self._fail(str(refused))
        except RedisAway as away:
            self._fail(str(away))

    def _take(self, place: int, grant: Grant) -> None:
        self._grants[place] = grant
        self._one_less()

    def _fail(self, reason: str) -> None:
        self._reason = reason
        self._one_less()

    def _one_less(self) -> None:
        self._missing -= 1
        if self._missing:
            return
        places = [place for place, grant in enumerate(self._grants) if grant is None]
        if places:
            self._lender.failed([self._demands[place] for place in places], self._reason, partial(self._fill, places))
        else:
            if self._is_answered:
                self._lender.answered()
            self._fill([], [])

    def _fill(self, places: Sequence[int], grants: Sequence[Grant]) -> None:
        for place, grant in zip(places, grants, strict=True):
            self._grants[place] = grant
        self._granted([grant for grant in self._grants if grant is not None])


def _grant(said: object) -> Grant:
    """What the script has answered. Raises RedisAway for what no script of ours answers."""
    match said:
        case [int(room), int(lent), int(stamp), int(level), int(wait_us)]:
            return Grant(room, lent, stamp, level, wait_us / MICROSECONDS)
    raise RedisAway("what it answers is no grant")
