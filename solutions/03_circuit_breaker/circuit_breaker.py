# %% [markdown] lecture="Circuit Breaker Pattern"
# # Circuit breaker
#
# **When do I stop asking?** Retrying helps against a hiccup. In an outage it keeps every caller busy with calls that
# fail, and the service never gets the quiet moment that it needs to recover.
#
# About 35 minutes to read, 100 for the exercise, which comes in five steps.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import contextlib
import datetime
import random
import statistics
import time
from collections import deque
from unittest import mock

import aiobreaker
import circuitbreaker
import hyx.circuitbreaker
import hyx.circuitbreaker.states
import purgatory

from autograder import check
from faultlab import COLORS, World, axes, error, hang, label_lines, live, mark, ok, play, show, simulate
from faultlab.explore import explore
from faultlab.notebook import start
from faultlab.raster import Interval, in_flight, marked, raster, slots
from faultlab.warmup import estimate, mended, predict

start()

# %%
import asyncio
import enum

# %% [markdown]
# ## The incident
# Sixty workers ask a database, each about once a second. One morning the database goes down for ten seconds. It comes
# back *cold*: its caches are empty, and an answer takes three seconds instead of a blink. More than ten calls at once
# knock it over again. After five answers it would be warm, and sixty workers would be no load for it.
#
# That was at 8:00. At 8:30 an operator restarted the sixty workers, one after the other, and then everything was well.
# Yet there was a circuit breaker between the workers and the database, and it did what it promised.
#
# ## The idea
# **After several consecutive failures, stop calling; after a while, let one call through to see whether the service has
# recovered.** Here it is in fifteen lines:


# %%
class TinyBreaker:
    def __init__(self, threshold=3, recovery_time=10.0):
        self.threshold, self.recovery_time = threshold, recovery_time
        self.failures, self.open_until = 0, 0.0

    async def call(self, op):
        now = asyncio.get_running_loop().time
        if now() < self.open_until:
            raise ConnectionError("open: rejected without a call")
        try:
            result = await op()
        except Exception:
            self.failures += 1
            if self.failures >= self.threshold:
                self.open_until = now() + self.recovery_time
            raise
        self.failures = 0
        return result


# %% tags=["plumbing"] jupyter={"source_hidden": true}
STATES = {"closed": "tone0", "open": "tone5", "half_open": "tone1"}


def tiny_state(breaker):
    """The state that a TinyBreaker is in, by the lecture's names."""
    if asyncio.get_running_loop().time() < breaker.open_until:
        return "open"
    return "half_open" if breaker.failures >= breaker.threshold else "closed"


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class WatchedBreaker:
    """Calls a breaker, and shows on the timeline its state, its count of failures and the calls that it rejects."""

    def __init__(self, breaker, state, failures=None):
        self.breaker, self.shown = breaker, {}
        self.watched = {"state": state} | ({"failures": failures} if failures else {})

    def look(self):
        for name, read in self.watched.items():
            value = read(self.breaker)
            if self.shown.get(name) != value:
                mark(name, value, lane="breaker")
                self.shown[name] = value

    async def call(self, op):
        asked = []

        async def seen():
            asked.append(True)
            self.look()
            return await op()

        self.look()
        try:
            return await self.breaker.call(seen)
        finally:
            if not asked:
                mark("rejected")
            self.look()


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def counted(timeline, name):
    """How many marks of this name there are so far, as a line in steps."""
    return [(0.0, 0.0), *((mark.at, float(number)) for number, mark in enumerate(timeline.marks(name), 1))]


def breaker_picture(timeline, title, **options):
    """The state as a ribbon, each call that reached the service, and what the breaker counts below."""
    steps = {}
    if timeline.marks("failures"):
        steps["failures counted"] = marked(timeline, "failures")
    if timeline.marks("rejected"):
        steps["rejected so far"] = counted(timeline, "rejected")
    return raster(timeline, title=title, state="state", states=STATES, **{"steps": steps} | options)


# %% [markdown]
# One caller makes a call each second. The service is down from 5 s to 12 s, and each failure takes half a second. How
# many failing calls does the breaker save, and what does the caller pay for it?


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def one_caller(seconds=24):
    world = World(seed=1)
    service = world.service("service", latency=0.6)
    world.outage("service", 5, 12, error(after=0.5))

    async def caller():
        breaker = WatchedBreaker(TinyBreaker(), tiny_state, lambda one: one.failures)
        breaker.look()
        for second in range(seconds):
            await asyncio.sleep(second + 0.2 - asyncio.get_running_loop().time())
            try:
                await breaker.call(service)
            except ConnectionError:
                pass

    return simulate(caller(), world=world).timeline


# %% cover="true"
title = "An outage of 7 s: how many calls fail, and how many are rejected?"
show(breaker_picture(one_caller(), title, who="caller", height=40, bin=0))


# %% [markdown]
# Each bar in the caller's row is a call that reached the service; the hatched ones failed. After three failures the
# breaker is *open*: it rejected ten calls at once, instead of letting each of them wait half a second. The price shows
# at the right end of the "open" ribbon: the service was well again at 12 s, and no call asked it before 18 s. If you
# stop asking, you also learn late. (The short stretch of *half-open* there is the trial call that found this out; more
# about it below.)
#
# The same fifteen lines on the real clock, with a recovery time of a fifth of a second:


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def on_the_real_clock(service):
    breaker = TinyBreaker(recovery_time=0.2)
    seen = []
    for _ in range(12):
        try:
            await breaker.call(service)
            seen.append("answered")
        except ConnectionError as problem:
            seen.append("rejected" if "open" in str(problem) else "failed")
        await asyncio.sleep(0.03)
    return seen


real_world = World()
real_service = real_world.service("service", [error()] * 3)


# %%
print(*(await live(on_the_real_clock(real_service), world=real_world)).value, sep=", ")


# %% [markdown]
# Now to the sixty workers and the database that comes back cold. It is down from 5 s to 15 s, and the breaker's
# recovery time is over at 15.3 s. Make a prediction, and then press *Play*.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def cold_start(world, away=(5.0, 15.0)):
    """A database that is down for a while and then cold: more than ten calls at once knock it over."""
    begun, memory = [], {"answers": 0, "down until": away[1]}

    def script(call):
        if call.at < away[0] or memory["answers"] >= 5:
            return ok(after=0.02)
        if call.at < memory["down until"]:
            return error(after=0.1)
        memory["answers"] += sum(end <= call.at for end in begun)
        begun[:] = [end for end in begun if end > call.at]
        if len(begun) >= 10:
            begun.clear()
            memory.update({"answers": 0, "down until": call.at + 2})
            return error(after=0.1)
        begun.append(call.at + 3)
        return ok(after=3.0)

    database = world.service("database", script)
    world.outage("database", *away, error(after=0.1))
    return database


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def sixty_workers(breaker, database, seconds):
    """Each worker asks about once a second, whatever came of its last call."""
    clock, draw = asyncio.get_running_loop().time, random.Random(3)

    async def worker(first, pause):
        await asyncio.sleep(first)
        while clock() < seconds:
            try:
                await breaker.call(database)
            except Exception:
                pass
            await asyncio.sleep(pause)

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(worker(draw.random(), draw.uniform(0.9, 1.1)), name=f"worker {number + 1}")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def incident(make_breaker, seconds=60.0):
    """The minute of the incident, with this breaker between the workers and the database."""
    world = World(seed=1)
    database = cold_start(world)

    async def minute():
        await sixty_workers(make_breaker(), database, seconds)

    return simulate(minute(), world=world).timeline


def play_incident(timeline, title, alt):
    """The minute as it unfolds: workers at the left, the breaker as a gate, the database at the right."""
    lines = {
        "in flight (cold: 10 at most)": in_flight(timeline),
        "rejected so far": counted(timeline, "rejected"),
    }
    tops = dict(zip(lines, (30, 3600), strict=True))  # the same in each run, and no hint before it has been played
    play(
        timeline, alt=alt, title=title, view="flow", until=60, seconds=30, who="workers",
        gate="state", refused="rejected",
        still=breaker_picture(timeline, title, who="workers", until=60, height=150, bin=0, steps=lines, tops=tops),
    )  # fmt: skip


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def last_failure(timeline):
    """When the last call failed, in words."""
    last = max(call.end for call in timeline.calls() if call.outcome == "error")
    return "soon" if last < 20 else "later" if last < 35 else "never"


tiny_minute = incident(lambda: WatchedBreaker(TinyBreaker(), tiny_state))
predict(
    "When do the sixty workers get their answers again, without any failures?",
    {"a few seconds after 15 s": "soon", "after one more recovery time": "later", "not within the minute": "never"},
    lambda: last_failure(tiny_minute),
    why="Press Play to see the reason.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
play_incident(
    tiny_minute,
    "The database is back at 15 s: what happens to the sixty workers?",
    "Sixty workers, a TinyBreaker and a database. About every ten seconds a crowd gets through and knocks the cold "
    "database over, until the end of the minute.",
)


# %% [markdown]
# <details><summary>In words</summary>
#
# At 15.3 s the recovery time is over. Before the first failure comes back, 13 workers get through. That is more than
# ten, so the cold database falls over and the breaker opens again. Ten seconds later 22 get through: the first crowd's
# ten answers have reset the count, and now it takes three failures to open the circuit. This repeats until someone
# looks at a picture like this one. **The recovery is a stampede, and the breaker opens the gate to it.**
#
# </details>
#
# What would a better gate be like? That is the question of this notebook.
#
# ## The lecture's breaker
# The lecture gives the trial after the pause a name of its own, *half-open*, so there are three states.


# %% lecture="CircuitState; CircuitBreakerError"
class LectureCircuitState(enum.Enum):
    CLOSED = "closed"  # normal operation
    OPEN = "open"  # calls are rejected
    HALF_OPEN = "half_open"  # finding out whether the service has recovered


class LectureCircuitOpen(Exception):
    """The circuit is open; the operation wasn't called."""


class LectureOperationFailed(Exception):
    """The operation was called and failed; its own error is the cause."""


# %% lecture="CircuitBreaker"
class LectureCircuitBreaker:
    def __init__(self, threshold, timeout):
        self.state = LectureCircuitState.CLOSED
        self.failure_count, self.last_failure_time = 0, None
        self.threshold, self.timeout = threshold, timeout

    async def call(self, operation):
        now = asyncio.get_running_loop().time()
        if self.state is LectureCircuitState.OPEN and self.last_failure_time is not None:
            if now - self.last_failure_time <= self.timeout:
                raise LectureCircuitOpen
            self.state = LectureCircuitState.HALF_OPEN  # allow one request through to test
        try:
            result = await operation()
        except Exception as problem:
            self.on_failure()
            raise LectureOperationFailed from problem
        self.on_success()
        return result

    def on_success(self):
        if self.state is LectureCircuitState.HALF_OPEN:
            self.state, self.failure_count = LectureCircuitState.CLOSED, 0

    def on_failure(self):
        self.failure_count += 1
        if self.failure_count >= self.threshold:
            self.state = LectureCircuitState.OPEN
            self.last_failure_time = asyncio.get_running_loop().time()


# %% [markdown]
# Its example makes ten calls, a second apart, with a threshold of 3 and a timeout of 30 s. Three calls fail, seven are
# rejected, and then the example ends before the breaker could recover. Here it makes 45 calls:


# %% lecture="example_circuit_breaker"
async def lecture_example_circuit_breaker(unreliable_service, calls=45):
    breaker = LectureCircuitBreaker(3, 30.0)
    watched = WatchedBreaker(breaker, lambda one: one.state.value, lambda one: one.failure_count)
    for _ in range(calls):
        try:
            await watched.call(unreliable_service)
        except LectureCircuitOpen:
            pass  # the call was rejected
        except LectureOperationFailed:
            pass  # the operation failed
        await asyncio.sleep(1)


# %%
example_world = World(seed=1)
unreliable = example_world.service("unreliable", latency=0.1).for_lane("caller")
example_world.outage("unreliable", 0, 20, error(after=0.1))
example = simulate(lecture_example_circuit_breaker(unreliable), world=example_world).timeline
title = "The lecture's example, 45 calls long: when does it recover?"
show(breaker_picture(example, title, who="caller", height=40, bin=0))

# %% [markdown]
# Closed, open, half-open, closed: all is as it should be. Now the world changes, three times, and each time only a
# little.
#
# ## First: a little noise
# The service is well, but one call in a hundred fails: a dropped connection, a user who doesn't exist. No operator
# would open a circuit for that. The threshold is 5.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def calls_until_open(make_breaker, error_rate, draw):
    """After how many calls a breaker opens that should never open."""
    breaker = make_breaker()

    async def noisy():
        if draw.random() < error_rate:
            raise ConnectionError

    for count in range(1, 100_000):
        try:
            await breaker.call(noisy)
        except Exception:
            if breaker.state is LectureCircuitState.OPEN:
                return count


def mean_calls_until_open(error_rate, runs=200):
    draw = random.Random(5)
    lecture = lambda: LectureCircuitBreaker(5, 30.0)  # noqa: E731
    found = [simulate(calls_until_open(lecture, error_rate, draw)).value for _ in range(runs)]
    return statistics.mean(found)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "1 % of the calls fail, at random. After how many calls does the lecture's breaker open, on average?",
    lambda: mean_calls_until_open(0.01),
    unit="calls",
    tolerance=0.1,
    why="A success doesn't change `failure_count`. So the fifth failure opens the circuit, however long ago the first "
    "one was: 5 / 0.01, about 500 calls. At a hundred calls a second that is every five seconds.",
)

# %% [markdown]
# The missing word is *consecutive*. How much difference does it make? For `n` consecutive failures at an error rate
# `p`, the average wait is (1 - pⁿ) / (pⁿ (1 - p)) calls.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
rates = [0.01 * 1.2**step for step in range(23)]
fig, ax = axes(
    "How many calls until a breaker opens? (threshold 5)", "error rate, %", "calls, on average (logarithmic)"
)
ax.plot([100 * p for p in rates], [(1 - p**5) / (p**5 * (1 - p)) for p in rates], label="5 consecutive failures")
ax.plot([100 * p for p in rates], [5 / p for p in rates], label="5 failures in all")
ax.set_yscale("log")
label_lines(ax)
show(
    fig,
    alt="Error rate from 1 to 55 % against the average number of calls until a breaker opens. 5 failures in all take "
    "500 calls at 1 % and 25 at 20 %. 5 consecutive ones take ten billion at 1 %, 3,905 at 20 %, and about 42 at 55 %.",
    fold="Five consecutive failures, or five in all",
)


# %% [markdown]
# At an error rate of 20 % the two differ by a factor of 150, and at 1 % by a factor of twenty million. In a real
# outage, at 100 %, both open after five calls. So a **success must reset the count**.
#
# ## Second: a crowd
# One caller a second is a quiet service. Now one thing changes: a hundred callers are waiting at the moment when the
# timeout is over. "Allow one request through to test", says the comment in the listing.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def knock(make_breaker, callers=100, state=lambda one: one.state.value):
    """Three failures, half a minute of peace, and then this many callers at the same instant."""
    world = World(seed=2)
    service = world.service("service", [error(after=0.1)] * 3, then=ok(after=2.0))

    async def main():
        watched = WatchedBreaker(make_breaker(), state)

        async def caller():
            try:
                await watched.call(service)
            except Exception:
                pass

        for _ in range(3):
            await asyncio.create_task(caller(), name="before")
        await asyncio.sleep(31)
        async with asyncio.TaskGroup() as group:
            for number in range(callers):
                group.create_task(caller(), name=f"caller {number + 1}")

    return simulate(main(), world=world).timeline


def passed(timeline):
    """How many of the crowd reached the service."""
    return sum(call.start > 30 for call in timeline.calls("service"))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "A hundred callers knock at the same instant, when the breaker's timeout is over. How many reach the service?",
    [1, 3, 97, 100],
    lambda: passed(knock(lambda: LectureCircuitBreaker(3, 30.0))),
    why="The first one makes the breaker half-open and waits for its answer. Half-open rejects no call, so the other "
    "99 follow while the first one is still in flight.",
    picture=lambda _: breaker_picture(
        knock(lambda: LectureCircuitBreaker(3, 30.0)),
        "A hundred callers at the end of the timeout: how many reach the service?",
        since=30.5,
        until=34,
        height=120,
        bin=0.1,
        who="callers",
    ),
)


# %% [markdown]
# To let exactly one call through, count the calls that are *in flight* while half-open. Check this number and increase
# it before the first `await`.
#
# ## asyncio you need
# Two of the seven facts in [00](../00_welcome/welcome.ipynb) carry this exercise, and a third one is new:
#
# * **Between two awaits nobody else runs.** If no `await` stands between checking the number and increasing it, no
#   other caller can slip in, and you need no lock.
# * **A cancellation lands at the `await`**, as a `CancelledError`. `except Exception` doesn't catch it, and `finally`
#   runs. It says that a *caller* has lost patience, and nothing about the service.
# * **Calls finish in another order than they start.** What was true when a call was let through may have changed by the
#   time the result arrives. If you need to know, remember it before the `await` and compare it after.
#
# ## Third: a late result
# The last change in the lecture's world: one caller has a slow request. It sets out at 0 s, when everything is well,
# and comes back with a good answer at 33 s. In between, the service goes down. At 32 s the breaker lets a probe
# through, which takes five seconds and fails.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def late_result(make_breaker):
    """A slow call from before the outage comes back while a probe is in flight; then four callers follow."""
    world = World(seed=3)
    slow = world.service("slow", latency=33)
    service = world.service("service", [error(after=0.2)] * 3, then=error(after=5))

    async def main():
        watched = WatchedBreaker(make_breaker(), lambda one: one.state.value)

        async def caller(op):
            try:
                await watched.call(op)
            except Exception:
                pass

        async with asyncio.TaskGroup() as group:
            group.create_task(caller(slow), name="slow call")
            await asyncio.sleep(1)
            for name, pause in [("before", 0.4)] * 2 + [("before", 30.4), ("probe", 5.8)]:
                group.create_task(caller(service), name=name)
                await asyncio.sleep(pause)
            for number in range(4):
                group.create_task(caller(service), name=f"caller {number + 1}")
                await asyncio.sleep(0.5)

    return simulate(main(), world=world).timeline


def state_at(timeline, instant):
    return [one.value for one in timeline.marks("state") if one.at <= instant][-1]


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The slow call's good answer arrives at 33 s, while the probe is in flight. Which state is the breaker in then?",
    {"closed": "closed", "open": "open", "half-open": "half_open"},
    lambda: state_at(late_result(lambda: LectureCircuitBreaker(3, 30.0)), 33.5),
    why="While the breaker is half-open, any success closes it: also one that set out before the outage and knows "
    "nothing about it.",
)


# %% [markdown]
# A note helps. Before the `await`, remember the state in which the call was let through, and compare it afterwards.
# Here this is added to the lecture's breaker, and nothing else. Four more callers arrive from 38 s on, after the probe
# has failed. What happens to them without the note, and what with it?


# %%
class LectureBreakerWithNotes(LectureCircuitBreaker):
    late = False

    async def call(self, operation):
        async def noted():
            let_through_when = self.state
            try:
                return await operation()
            finally:
                self.late = self.state is not let_through_when

        return await super().call(noted)

    def on_success(self):
        if not self.late:
            super().on_success()

    def on_failure(self):
        if not self.late:
            super().on_failure()


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def late_picture(timeline, title):
    """The breaker's states above, and each call as a bar from its start to its end."""
    states = timeline.marks("state")
    ends = [*(mark.at for mark in states[1:]), 45.0]
    bars = [
        Interval("breaker", str(mark.value).replace("_", "-"), mark.at, end)
        for mark, end in zip(states, ends, strict=True)
    ]
    for call in timeline.calls():
        bars.append(Interval(call.lane, "answered" if call.outcome == "ok" else "failed", call.start, call.end))
    bars += [Interval(mark.lane, "rejected", mark.at, mark.at + 0.3) for mark in timeline.marks("rejected")]
    order = ["breaker", "slow call", "before", "probe", *(f"caller {number}" for number in (1, 2, 3, 4))]
    looks = {"closed": "tone0", "open": "tone5", "half-open": "tone1", "answered": "ok", "failed": "failed"}
    alt = f"{title} " + " ".join(f"{one.slot} {one.tenant} from {one.start:g} to {one.end:g} s." for one in bars)
    return slots(
        bars, title=title, alt=alt, until=45, order=order, tenants=looks | {"rejected": "tone3"}, timeline=timeline
    )


show(
    late_picture(
        late_result(lambda: LectureCircuitBreaker(3, 30.0)), "Without the note: what happens to callers 1 to 4?"
    ),
    fold="Without the note",
)
show(
    late_picture(late_result(lambda: LectureBreakerWithNotes(3, 30.0)), "With the note: what happens to them now?"),
    fold="With the note",
)


# %% [markdown]
# One gap is left. Suppose that a call is let through while the circuit is closed. The breaker opens, half-opens and
# closes again, and only then does the call fail. Its result is late, and yet the two states are equal. So number the
# *periods* from one change of state to the next, and compare the numbers.
#
# ## Turn the knobs
# Here are twenty callers, each with about one call a second. An answer takes 2 s. The service fails at random at the
# rate of the slider, and from 20 s to 30 s always. Can you find settings where the breaker opens in the outage only,
# and each trial takes only one call? `window` is a third way to count: failures within the last ten seconds.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class KnobBreaker:
    def __init__(self, threshold, recovery, half_open_max, semantics):
        self.threshold, self.recovery, self.half_open_max = threshold, recovery, half_open_max
        self.semantics, self.state, self.bad, self.since, self.probes = semantics, "closed", [], 0.0, 0

    def go(self, state):
        self.state, self.bad, self.probes = state, [], 0
        self.since = asyncio.get_running_loop().time()

    async def call(self, op):
        clock = asyncio.get_running_loop().time
        if self.state == "open" and clock() - self.since >= self.recovery:
            self.go("half_open")
        if self.state == "open" or (self.state == "half_open" and self.probes >= self.half_open_max):
            raise LectureCircuitOpen
        self.probes += 1
        try:
            await op()
        except ConnectionError:
            self.bad.append(clock())
            if self.semantics == "window":
                self.bad = [at for at in self.bad if at > clock() - 10]
            if self.state == "half_open" or len(self.bad) >= self.threshold:
                self.go("open")
        else:
            self.bad = [] if self.semantics == "consecutive" else self.bad
            if self.state == "half_open":
                self.go("closed")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def knobs(threshold=5, recovery=5, half_open_max=20, error_rate=2, semantics="in all"):
    world = World(seed=7)
    script = lambda call: error(after=0.5) if call.random.random() < error_rate / 100 else ok(after=2)  # noqa: E731
    service = world.service("service", script)
    world.outage("service", 20, 30, error(after=0.5))

    async def caller(watched, first):
        await asyncio.sleep(first)
        while asyncio.get_running_loop().time() < 60:
            try:
                await watched.call(service)
            except LectureCircuitOpen:
                pass
            await asyncio.sleep(1)

    async def main():
        breaker = KnobBreaker(threshold, recovery, half_open_max, semantics)
        watched = WatchedBreaker(breaker, lambda one: one.state)
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(caller(watched, number / 20), name=f"caller {number + 1}")

    timeline = simulate(main(), world=world).timeline
    title = "Does the circuit open in the outage only, and does each trial take one call?"
    return raster(timeline, title=title, state="state", states=STATES, who="callers", until=60, height=130, bin=0)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
explore(
    knobs,
    alt="State of a breaker as a ribbon over the calls of twenty callers, with an outage from 20 s to 30 s.",
    labels={"threshold": "failure threshold", "recovery": "recovery time, s", "half_open_max": "half-open max",
            "error_rate": "error rate, %", "semantics": "failures are counted"},
    threshold=(1, 20), recovery=(1, 20), half_open_max=(1, 20), error_rate=(0, 30),
    semantics=["in all", "consecutive", "window"],
)  # fmt: skip

# %% [markdown]
# A long recovery time and a small threshold make a calm picture, but they have a price: the service is well, and no
# call asks it. A threshold of 1 opens at every hiccup: the breaker *flaps*.
#
# ## Warm-ups
# **Trace the states.** A TinyBreaker has `threshold=2` and `recovery_time=10`. Calls start at 0, 1, 2, 3, 9 and 14 s.
# The service fails at 0, 2 and 3 s, and works at any other time. Each call takes no time.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def traced():
    world = World()
    service = world.service("service", lambda call: error() if round(call.at) in (0, 2, 3) else ok())

    async def main():
        breaker = TinyBreaker(threshold=2, recovery_time=10.0)
        for at in (0, 1, 2, 3, 9, 14):
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            try:
                await breaker.call(service)
            except ConnectionError:
                pass

    timeline = simulate(main(), world=world).timeline
    return ", ".join(f"{call.start:g}" for call in timeline.calls())


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Which calls reach the service?",
    ["0, 1, 2, 3, 9, 14", "0, 1, 2, 3, 14", "0, 1, 2, 14", "0, 1, 2, 3"],
    traced,
    why="The success at 1 s resets the count, so the failures at 2 s and 3 s open the circuit. It is open until 13 s: "
    "the call at 9 s is rejected, and the one at 14 s is let through.",
)

# %% [markdown]
# **Fix the counter.** It should say whether the last `limit` results were all failures. Change one line, then run its
# cell and the folded one after it.


# %%
class RowCounter:
    def __init__(self, limit):
        self.limit, self.count = limit, 0

    def add(self, worked):
        """Count one more result; return whether the last `limit` results were failures."""
        if not worked:
            self.count += 1
        return self.count >= self.limit


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def counter_trial():
    for results, right in (("FWFF", False), ("WFFF", True), ("FFWF", False), ("FFFW", False)):
        counter = RowCounter(3)
        *_, said = [counter.add(letter == "W") for letter in results]
        if said != right:
            return f"after {results} (F: failed, W: worked) it says {said}, with limit=3"
    return ""


_ = mended(
    counter_trial,
    well="Fixed: a success resets the count.",
    hint="What should the count be after a success? `self.count = 0 if worked else ...`",
)

# %% [markdown]
# **What happens to the slot?** This gate lets one probe through at a time, and has no `finally`. The first probe's
# caller is cancelled after two seconds. An hour later a hundred callers come, when the service has been well for a long
# time. How many get through?


# %%
async def probe(gate, service):
    if gate["free"]:
        gate["free"] = False
        try:
            await service()
        except Exception:
            pass
        gate["free"] = True


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def without_finally():
    """How many of a hundred callers get through the gate after its first probe was cancelled."""
    world = World()
    service = world.service("service", [hang()])
    gate = {"free": True}

    async def main():
        first = asyncio.create_task(probe(gate, service))
        await asyncio.sleep(2)
        first.cancel()
        await asyncio.sleep(3600)
        await asyncio.gather(*(probe(gate, service) for _ in range(100)))

    return len(simulate(main(), world=world).timeline.calls()) - 1


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "How many of the hundred get through?",
    [0, 1, 99, 100],
    without_finally,
    why="`CancelledError` is no `Exception`, so the line that frees the slot never ran. After one impatient user the "
    "circuit never closes again.",
)

# %% [markdown]
# ## Before you write your own
# What is there already? Here are four libraries for asyncio, as they come from the package index. Each of them sees
# three failures and stays open for its recovery time. Then **25 callers knock at the same instant**. (Two of the
# libraries ask `datetime` for the time, which the virtual clock can't move, and a third keeps a clock of its own. The
# folded cells lend each of these a clock that follows ours.)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class MovedDatetime(datetime.datetime):
    """A `datetime` that follows the virtual clock."""

    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz) if tz else cls.utcnow()


class Adapter:
    """Gives each library the one method that is used here: `await call(op)`."""

    def __init__(self, call):
        self.call = call


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def with_aiobreaker():
    breaker = aiobreaker.CircuitBreaker(fail_max=3, timeout_duration=datetime.timedelta(seconds=30))
    return Adapter(breaker.call_async)


def with_circuitbreaker():
    guard = circuitbreaker.CircuitBreaker(failure_threshold=3, recovery_timeout=30)

    @guard
    async def guarded(op):
        return await op()

    return Adapter(guarded)


def with_hyx():
    @hyx.circuitbreaker.consecutive_breaker(failure_threshold=3, recovery_time_secs=30, recovery_threshold=1)
    async def guarded(op):
        return await op()

    return Adapter(guarded)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def with_purgatory():
    factory = purgatory.AsyncCircuitBreakerFactory(default_threshold=3, default_ttl=30)

    async def call(op):
        async with await factory.get_breaker("service"):
            return await op()

    return Adapter(call)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def knockers(make_breaker, callers=25):
    """How many of the callers get through."""
    with contextlib.ExitStack() as lent:
        for module in (aiobreaker.state, aiobreaker.circuitbreaker, hyx.circuitbreaker.states):
            lent.enter_context(mock.patch.object(module, "datetime", MovedDatetime))
        lent.enter_context(mock.patch.object(circuitbreaker, "monotonic", time.monotonic))
        return passed(knock(make_breaker, callers, lambda _: ""))


def let_through():
    """How many of 25 callers get through each library."""
    makers = {
        "aiobreaker 1.2": with_aiobreaker,
        "circuitbreaker 2.1": with_circuitbreaker,
        "hyx 0.0.2": with_hyx,
        "purgatory 3.0": with_purgatory,
    }
    return {name: knockers(make) for name, make in makers.items()}


predict(
    "How many of the 25 callers get through aiobreaker, circuitbreaker, hyx and purgatory?",
    {
        "1 through each": [1, 1, 1, 1],
        "1 through two of them, 25 through the other two": [1, 25, 1, 25],
        "25 through each": [25, 25, 25, 25],
    },
    lambda: list(let_through().values()),
    why="All four let the whole crowd in: while half-open they reject no call, as the lecture's breaker does.",
)


# %% [markdown]
# aiobreaker has had no release since 2021 and hyx none since 2023. purgatory's last release is from 2024,
# circuitbreaker's from 2025 (package index, November 2026). In production many teams leave the breaker to the mesh or
# proxy in front of the service, or to the libraries of other languages. The words differ there: what Envoy calls
# *circuit breakers* are limits on connections, pending requests and retries in flight. Its *outlier detection* ejects a
# single host after consecutive errors, and takes it back after a while.

# %% [markdown] lecture="Exercise 2: Circuit Breaker"
# ## Exercise: a circuit breaker
#
# ```python
# class CircuitOpenError(Exception):      # .retry_after: seconds
#
# class CircuitBreaker:
#     def __init__(self, *, failure_threshold=5, recovery_time=30.0,
#                  half_open_max=1, success_threshold=1,
#                  is_failure=lambda exc: True, on_state_change=None)
#     state               # "closed", "open" or "half_open": a str, or an Enum with these values
#     async def call(self, op)
# ```
#
# `op` is called without arguments and returns a new awaitable each time. `call` returns or raises exactly the object
# that `op` returned or raised.
#
# **Closed.** `failure_threshold` consecutive failures open the circuit. Count failures in the order in which calls
# *finish*. A success resets the count. An exception with `is_failure(exc) == False` counts as a success. If `op()`
# itself raises, before there is anything to await, that exception counts like any other. Calls run concurrently, and
# breakers share nothing.
#
# **Open.** For `recovery_time` seconds every call is rejected at once with `CircuitOpenError`, and `op` isn't called.
# The error's `retry_after` is the number of seconds left.
#
# **Half-open.** After that time at most `half_open_max` calls are in flight at once. All other calls are rejected with
# `CircuitOpenError`; its `retry_after` is then any number from 0 up. `success_threshold` successes close the circuit,
# and counting starts at zero. Any failure opens it again, for a full `recovery_time` from that moment.
# `on_state_change(old, new)` is called once for each change of state, in order.
#
# **Cancellation.** A cancelled call is neither a failure nor a success, and its cancellation propagates at once. A
# cancelled probe frees its slot.
#
# **Late results.** A period begins at each change of state. The breaker ignores the results of calls that were let
# through in an earlier period; their callers still get them.
#
# Use the event loop's clock, `asyncio.get_running_loop().time()`; `time.monotonic()` reads the same. Whether the state
# becomes half-open by itself or at the next call is up to you. Each of the five parts is a step:
# `check("circuit_breaker", step=1)` judges Closed alone.


# %% exercise="circuit_breaker"
class CircuitOpenError(Exception):
    """The call was rejected; don't ask again before `retry_after` seconds have passed."""

    def __init__(self, retry_after: float):
        super().__init__(f"the circuit is open, ask again in {retry_after:.1f} s")
        self.retry_after = retry_after


class CircuitBreaker:
    """Stops calling a service that keeps failing, and finds out with few calls whether it has recovered."""

    def __init__(self, *, failure_threshold=5, recovery_time=30.0, half_open_max=1, success_threshold=1,
                 is_failure=lambda exc: True, on_state_change=None):  # fmt: skip
        self.state = "closed"
        ### BEGIN SOLUTION
        self.failure_threshold, self.recovery_time = failure_threshold, recovery_time
        self.half_open_max, self.success_threshold = half_open_max, success_threshold
        self.is_failure, self.on_state_change = is_failure, on_state_change
        self.period = self.failures = self.successes = self.in_flight = 0

    def _enter(self, state):
        old, self.state = self.state, state
        self.period += 1
        self.failures = self.successes = self.in_flight = 0
        self.since = asyncio.get_running_loop().time()
        if self.on_state_change:
            self.on_state_change(old, state)

    def _admit(self):
        if self.state == "open":
            remaining = self.since + self.recovery_time - asyncio.get_running_loop().time()
            if remaining > 0:
                raise CircuitOpenError(remaining)
            self._enter("half_open")
        elif self.state == "half_open" and self.in_flight >= self.half_open_max:
            raise CircuitOpenError(0.0)

    def _record(self, period, good):
        if period != self.period:
            return
        if good:
            self.failures = 0
            self.successes += 1
            if self.state == "half_open" and self.successes == self.success_threshold:
                self._enter("closed")
        else:
            self.failures += 1
            if self.state == "half_open" or self.failures >= self.failure_threshold:
                self._enter("open")
        ### END SOLUTION

    async def call(self, op):
        """Admit, run and record one call of `op`, or raise CircuitOpenError."""
        ### BEGIN SOLUTION
        self._admit()
        period = self.period
        self.in_flight += 1
        try:
            result = await op()
        except Exception as exc:
            self._record(period, good=not self.is_failure(exc))
            raise
        else:
            self._record(period, good=True)
            return result
        finally:
            if period == self.period:
                self.in_flight -= 1
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Ask three small questions in three small methods. May this call through (`_admit`)? What does its result mean
# (`_record`)? What belongs to a change of state (`_enter`)? None of them contains an `await`, so no other call can run
# in between. In `call` there is exactly one: `await op()`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `_enter(state)` sets *everything* that belongs to a period: its number (one more), the instant when it began, the
# failures, the successes, the calls in flight. Then every change of state is right by itself. `call` remembers the
# period's number before the `await`, and `_record` begins by comparing it. Free a probe's slot in `finally`, if the
# period is still the same.
#
# </details>
#
# <details><summary>Hint 3: the lines of <code>call</code>, shuffled</summary>
#
# ```python
#         return result
#         self._record(period, good=not self.is_failure(exc))
#     finally:
#     self._admit()
#     except Exception as exc:
#         if period == self.period:
#     try:
#         self._record(period, good=True)
#     period = self.period
#         result = await op()
#             self.in_flight -= 1
#     else:
#         raise
#     self.in_flight += 1
# ```
#
# </details>

# %% [markdown]
# ## The incident, once more
# Here are the same sixty workers and the same cold database, with your breaker and `success_threshold=5`: five good
# probes, one after the other, before the crowd may come. After that, 25 callers knock at your breaker.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def yours(**options):
    """Your breaker, with its state shown on the timeline."""
    return WatchedBreaker(CircuitBreaker(**options), lambda one: getattr(one.state, "value", one.state))


def with_yours():
    return CircuitBreaker(failure_threshold=3, recovery_time=30.0)


def face_the_incident():
    """Show the minute with your breaker; for one that isn't ready, say what is missing."""
    try:
        options = {"failure_threshold": 3, "recovery_time": 10.0, "success_threshold": 5}
        minute, crowd = incident(lambda: yours(**options)), knockers(with_yours)
        missing = "" if minute.calls() else "it never calls op"
    except BaseException as problem:
        missing = repr(problem)
    if missing:
        print(f"Your breaker isn't ready for this yet: {missing}")
        return
    print(f"Of 25 callers that knock at the same instant, your breaker lets {crowd} through.")
    alt = "Sixty workers, your breaker and the database that comes back cold."
    play_incident(minute, "Your breaker: does the database recover?", alt)


# %%
face_the_incident()


# %% [markdown]
# ## What practitioners use
# Two breakers from other languages, with the defaults from their documentation and source:
#
# | | opens at | window | stays open | probes |
# |---|---|---|---|---|
# | resilience4j (Java) | 50 % failures of at least 100 calls | the last 100 calls | 60 s | 10 |
# | Polly 8 (.NET) | 10 % failures of at least 100 calls | 30 s | 5 s | 1 |
#
# Both judge a *share* of failures, in a window with a minimum number of calls. Five consecutive failures mean one thing
# at two calls a minute, and another at a thousand a second.
#
# resilience4j has a third verdict besides success and failure: *ignored* (`ignoreExceptions`). The error goes to its
# caller, a probe frees its slot, and nothing is counted. This suits errors that say nothing about the service, such as
# "no room in our own queue". Our breaker has only two verdicts: an error that is no failure counts as a success.
#
# ## Whose breaker? A quarter of an outage
# A database is split into four shards, by customer, and one of them is dead. So a quarter of all requests fail. One
# breaker with Polly's defaults stands in front of all four, and a hundred requests a second arrive. How many of them
# are answered?


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class ShareBreaker:
    """Opens at a share of failures: 10 % of at least 100 calls in 30 s, open for 5 s, one probe (Polly's defaults)."""

    def __init__(self):
        self.seen, self.failures, self.open_until, self.probing = deque(), 0, 0.0, False

    def admits(self, now):
        if now < self.open_until:
            return False
        self.probing = self.open_until > 0
        return True

    def record(self, now, well):
        self.seen.append((now, well))
        self.failures += not well
        while self.seen[0][0] <= now - 30:
            self.failures -= not self.seen.popleft()[1]
        too_many = len(self.seen) >= 100 and self.failures >= 0.1 * len(self.seen)
        if self.probing or too_many:
            self.seen.clear()
            self.failures, self.open_until = 0, 0.0 if self.probing and well else now + 5


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def partial_outage(breaker_for, shards=4, seconds=600, a_second=100):
    """The shares of requests that are answered, fail and are rejected, with the last shard dead."""
    draw, counts = random.Random(9), {"answered": 0, "failed": 0, "rejected": 0}
    for number in range(seconds * a_second):
        now, shard = number / a_second, draw.randrange(shards)
        breaker, well = breaker_for(shard), shard < shards - 1
        if breaker is not None and not breaker.admits(now):
            counts["rejected"] += 1
            continue
        counts["answered" if well else "failed"] += 1
        if breaker is not None:
            breaker.record(now, well)
    return {name: count / (seconds * a_second) for name, count in counts.items()}


def scopes():
    one, four = ShareBreaker(), [ShareBreaker() for _ in range(4)]
    return {
        "no breaker": partial_outage(lambda shard: None),
        "one for all shards": partial_outage(lambda shard: one),
        "one for each shard": partial_outage(lambda shard: four[shard]),
    }


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def scopes_chart():
    shares = scopes()
    fig, ax = axes("One of four shards is dead: who gets an answer?", "requests, %", height=2.6)
    left = [0.0] * len(shares)
    looks = (
        ("answered", COLORS["answered"], ""),
        ("failed", COLORS["failed"], "//"),
        ("rejected", "#8C5A2B", "||"),
    )
    for name, color, hatch in looks:
        widths = [100 * found[name] for found in shares.values()]
        bars = ax.barh(list(shares), widths, left=left, color=color, hatch=hatch, edgecolor="white", label=name)
        for bar, width in zip(bars, widths, strict=True):
            if width > 4:
                words = {
                    "ha": "center",
                    "va": "center",
                    "fontsize": 9,
                    "bbox": {"facecolor": "white", "pad": 1.5, "lw": 0},
                }
                ax.text(bar.get_x() + width / 2, bar.get_y() + bar.get_height() / 2, f"{width:.0f} %", **words)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=3, frameon=False)
    words = (f"{name}: {', '.join(f'{w:.0%} {what}' for what, w in one.items())}" for name, one in shares.items())
    show(fig, alt=". ".join(words), fold="What does each scope answer?")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "One breaker for all four shards, one of them dead: what percentage of requests are answered?",
    lambda: 100 * scopes()["one for all shards"]["answered"],
    unit="%",
    tolerance=0.2,
    why="A second after it has closed, the breaker has seen a hundred calls, and a quarter of them failed. So it opens "
    "for five seconds, for the healthy shards as well. Without any breaker it would be 75 %.",
)

# %%
scopes_chart()


# %% [markdown]
# **A breaker belongs to what fails together**: a shard, a host, an endpoint. Marc Brooker of AWS objects to breakers in
# clients for this reason: a client seldom knows how the service is split (*Will circuit breakers solve my problems?*,
# brooker.co.za, 2022).
#
# <details><summary>Code review: what else is wrong in the listing</summary>
#
# * Requests for a user who doesn't exist open the circuit. Every error counts as a failure, even one that says that the
#   request was wrong. Hence `is_failure`.
# * A failure that arrives while the circuit is open sets `last_failure_time` again. With sixty slow calls in flight
#   that fail one second apart, the circuit recovers at 90 s instead of 33 s.
# * A cancelled call records nothing. That is right, but then a service that *hangs* never opens the circuit if the
#   callers' own timeouts cancel each call. So the timeout belongs inside: with `breaker.call(lambda: with_timeout(op))`
#   the call ends as an error.
# * `Open` without a `last_failure_time` runs the operation. This can't happen, but the type allows it.
# * Five failures in a microsecond count like five in a month: there is no window and no minimum number of calls. Nor
#   does a slow answer ever count as a failure.
# * A rejected caller isn't told how long the circuit stays open. Hence `retry_after`.
# * The two locks can deadlock; see "For Rust readers".
#
# </details>
#
# <details><summary>Code review: what the worked solution leaves open</summary>
#
# * An `on_state_change` that raises replaces the call's own result or error. A monitor must not break a call: in a real
#   service, catch and log what it raises.
#
# </details>
#
# ## Questions
# <details><summary>A probe is cancelled because its user closed the browser. Is that a success, a failure, or neither?
# </summary>
#
# Products disagree. Polly doesn't count it as a failure, so it closes the circuit. purgatory counts a failure.
# resilience4j frees the slot and draws no conclusion. aiobreaker stays half-open. The user said nothing about the
# service, so here the answer is *neither*. If it counted as a failure, impatient users could keep the circuit of a
# healthy service open. If it counted as a success, a service that hangs would look healthy.
#
# </details>
#
# Retry makes four attempts, the breaker has a threshold of 5, and the service is down. Does the retry belong around the
# breaker or inside it? Count the attempts until the circuit opens.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def attempts_until_open(retry_inside):
    world = World()
    service = world.service("service", then=error())

    async def four_attempts(op):
        for attempt in range(4):
            try:
                return await op()
            except LectureCircuitOpen:
                raise
            except Exception:
                if attempt == 3:
                    raise

    async def main():
        breaker = LectureCircuitBreaker(5, 30.0)
        while breaker.state is not LectureCircuitState.OPEN:
            try:
                if retry_inside:
                    await breaker.call(lambda: four_attempts(service))
                else:
                    await four_attempts(lambda: breaker.call(service))
            except Exception:
                pass

    return len(simulate(main(), world=world).timeline.calls())


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "How many attempts reach the dead service before the circuit opens: with the retry around the breaker, and inside?",
    {"5 and 5": (5, 5), "5 and 20": (5, 20), "20 and 5": (20, 5), "20 and 20": (20, 20)},
    lambda: (attempts_until_open(retry_inside=False), attempts_until_open(retry_inside=True)),
    why="With the retry inside, the breaker sees one failure where there were four. So put the retry around the "
    "breaker, and don't retry when the circuit is open.",
)

# %% [markdown]
# <details><summary>For Rust readers</summary>
#
# * The lecture's three `RwLock`s become plain attributes. In asyncio one thread runs everything, and code without an
#   `await` is a critical section by itself.
# * In Rust the two handlers can deadlock: `on_success` locks the state and then the count, `on_failure` the count and
#   then the state. Suppose that two probes end at the same time, one well and one badly, on a runtime with several
#   threads. Each handler holds the lock that the other waits for, and from then on every call waits. One lock around
#   all three fields prevents this, and so does one order of locking.
# * Between the read of `state` and the write of `HalfOpen` the read lock is released: two callers may both believe that
#   they are the first.
# * A dropped future is a cancelled one. What `finally` does here, a guard with `Drop` does there.
# * `FnOnce() -> Fut` is what we call `op`: a function that returns a new awaitable.
# * `CircuitBreakerError::OperationFailed(e)` wraps the error, as a `Result` must. With exceptions it is simpler to let
#   the operation's own error propagate, and to have one class for rejections.
#
# </details>
