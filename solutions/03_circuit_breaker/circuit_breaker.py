# %% [markdown] lecture="Circuit Breaker Pattern"
# # Circuit breaker
#
# *When do I stop asking?* Retrying helps against a hiccup. Against an outage it keeps everybody busy with calls that
# fail, and a service that wants to get up again never has a quiet moment. About 35 minutes of reading and trying, and
# 100 for the exercise, which comes in five steps.

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
from faultlab import World, axes, error, hang, live, mark, ok, show, simulate
from faultlab.explore import explore
from faultlab.lanes import compare
from faultlab.notebook import start
from faultlab.raster import marked, raster
from faultlab.warmup import estimate, mended, predict

start()

# %%
import asyncio
import enum

# %% [markdown]
# ## The incident
# Sixty workers ask a database, each about once a second. One morning the database goes away for ten seconds. It comes
# back *cold*: its caches are empty, an answer takes three seconds instead of a blink, and more than ten calls at once
# knock it over again. Five answers later it would be warm, and sixty workers would be nothing to it.
#
# That was at 8:00. At 8:30 somebody restarted the sixty workers, one after the other, and then everything was well. Yet
# there was a circuit breaker between the workers and the database, and it did what it promises.
#
# ## The idea
# **After some failures in a row stop asking, and after a while let a call find out whether it is over.** In fifteen
# lines:


# %%
class TinyBreaker:
    def __init__(self, threshold=3, recovery_time=10.0):
        self.threshold, self.recovery_time = threshold, recovery_time
        self.failures, self.open_until = 0, 0.0

    async def call(self, op):
        now = asyncio.get_running_loop().time
        if now() < self.open_until:
            raise ConnectionError("open: not even asked")
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
STATES = {"closed": "ok", "open": "failed", "half_open": "tone1"}


def tiny_state(breaker):
    """The three states, as far as a TinyBreaker has them."""
    if asyncio.get_running_loop().time() < breaker.open_until:
        return "open"
    return "half_open" if breaker.failures >= breaker.threshold else "closed"


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class WatchedBreaker:
    """Calls a breaker, and shows on the timeline its state, its count of failures and what it turned down."""

    def __init__(self, breaker, state, failures=lambda breaker: breaker.failures):
        self.breaker, self.state, self.failures = breaker, state, failures
        self.rejected, self.shown = 0, {}

    def look(self):
        found = {"state": self.state(self.breaker), "failures": self.failures(self.breaker), "rejected": self.rejected}
        for name, value in found.items():
            if self.shown.get(name) != value:
                mark(name, value, lane="breaker")
        self.shown = found

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
            self.rejected += not asked
            self.look()


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def breaker_picture(timeline, title, counter="failures counted", **options):
    """The state as a ribbon, a dot for each call that reached the service, the breaker's counts below."""
    steps = {counter: marked(timeline, "failures"), "turned down so far": marked(timeline, "rejected")}
    return raster(timeline, title=title, state="state", states=STATES, steps=steps, **options)


# %% [markdown]
# One caller, a call a second; the service is away from 5 s to 12 s and takes half a second for each failure. How many
# failing calls does the breaker save, and what does the caller pay for it?


# %% cover="true"
def one_caller(seconds=30):
    world = World(seed=1)
    service = world.service("service", latency=0.1)
    world.outage("service", 5, 12, error(after=0.5))

    async def caller():
        breaker = WatchedBreaker(TinyBreaker(), tiny_state)
        for second in range(seconds):
            await asyncio.sleep(second + 0.2 - asyncio.get_running_loop().time())
            try:
                await breaker.call(service)
            except ConnectionError:
                pass

    return simulate(caller(), world=world).timeline


show(breaker_picture(one_caller(), "A breaker over an outage of 7 s", who="caller", height=40, bin=0))

# %% [markdown]
# A dot is a call that reached the service, a cross one that failed. Three failures, then the breaker is *open*: ten
# callers were turned down at once instead of waiting half a second each. The price stands at the right end of the red
# ribbon: the service was well at 12 s, and nobody asked before 18 s. Whoever stops asking also learns late. (The
# narrow stripe there, *half-open*, is the trial that found out; more of it below.)
#
# The same fifteen lines on the real clock, with a recovery time of a fifth of a second:


# %%
real_world = World()
real_service = real_world.service("service", [error()] * 3)


async def on_the_real_clock():
    breaker = TinyBreaker(recovery_time=0.2)
    seen = []
    for _ in range(12):
        try:
            await breaker.call(real_service)
            seen.append("answered")
        except ConnectionError as problem:
            seen.append("turned down" if "open" in str(problem) else "failed")
        await asyncio.sleep(0.03)
    return seen


print(*(await live(on_the_real_clock(), world=real_world)).value, sep=", ")

# %% [markdown]
# Now the sixty workers and the database that comes back cold. The database is away from 5 s to 15 s.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def cold_start(world, away=(5.0, 15.0)):
    """A database that is away for a while, and then cold: more than ten calls at once knock it over."""
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

    return world.service("database", script)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def sixty_workers(breaker, database, seconds):
    """Each asks about once a second, whatever came of it the last time."""
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
    """The minute of the incident, with this breaker in between."""
    world = World(seed=1)
    database = cold_start(world)

    async def minute():
        await sixty_workers(make_breaker(), database, seconds)

    return simulate(minute(), world=world).timeline


# %%
tiny_minute = incident(lambda: WatchedBreaker(TinyBreaker(), tiny_state))
show(
    breaker_picture(tiny_minute, "The database is back at 15 s", who="workers", until=60, height=150),
    fold="What happens to the sixty workers?",
)

# %% [markdown]
# At 15.3 s the breaker's time is up. Before the first failure comes back a dozen workers are through, more than ten,
# so the cold database falls over and the breaker opens again. Ten seconds later it is twenty, since nobody has
# anything else to wait for. It goes on like this until somebody reads the picture. **The recovery is a stampede, and
# the breaker opens the gate to it.** What would a better gate be like? That is the question of this notebook.
#
# ## The lecture's breaker
# The lecture gives the trial after the pause a name of its own, *half-open*, so there are three states.


# %% lecture="CircuitState; CircuitBreakerError"
class LectureCircuitState(enum.Enum):
    CLOSED = "closed"  # normal operation
    OPEN = "open"  # calls are turned down
    HALF_OPEN = "half_open"  # finding out whether the service is well again


class LectureCircuitOpen(Exception):
    """The circuit is open, the operation wasn't called."""


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
# Its example makes ten calls, a second apart, with a threshold of 3 and a timeout of 30 s: three failures, seven
# callers turned down, and then it is over before the breaker could recover. Here it goes on for long enough.


# %% lecture="example_circuit_breaker"
async def lecture_example_circuit_breaker(unreliable_service, calls=45):
    breaker = LectureCircuitBreaker(3, 30.0)
    watched = WatchedBreaker(breaker, lambda one: one.state.value, lambda one: one.failure_count)
    for _ in range(calls):
        try:
            await watched.call(unreliable_service)
        except LectureCircuitOpen:
            pass  # the request was blocked
        except LectureOperationFailed:
            pass  # the operation failed
        await asyncio.sleep(1)


# %%
example_world = World(seed=1)
unreliable = example_world.service("unreliable", latency=0.1).for_lane("caller")
example_world.outage("unreliable", 0, 20, error(after=0.1))
example = simulate(lecture_example_circuit_breaker(unreliable), world=example_world).timeline
show(breaker_picture(example, "The lecture's example, 45 calls long", who="caller", height=40, bin=0))

# %% [markdown]
# Closed, open, half-open, closed: all is as it should be. Now the world changes, three times, and each time only a
# little.
#
# ## First: a little noise
# The service is well, but one call in a hundred fails: a dropped connection, a user who doesn't exist. Nobody would
# open a circuit for that. The threshold is 5.


# %%
async def calls_until_open(make_breaker, error_rate, draw):
    """How many calls it takes until a breaker opens that should never open."""
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


# %%
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
    why="A success changes nothing in `failure_count`, so the fifth failure opens it, however long ago the first one "
    "was: 5 / 0.01, about 500 calls. At a hundred calls a second that is every five seconds.",
)

# %% [markdown]
# The word that is missing is *in a row*. How much difference does it make? For `n` failures in a row at an error rate
# `p` one waits for (1 - pⁿ) / (pⁿ (1 - p)) calls on average.

# %%
rates = [0.01 * 1.2**step for step in range(23)]
fig, ax = axes("Calls until a breaker opens, threshold 5", "error rate, %", "calls, on average (logarithmic)")
ax.plot([100 * p for p in rates], [(1 - p**5) / (p**5 * (1 - p)) for p in rates], label="5 failures in a row")
ax.plot([100 * p for p in rates], [5 / p for p in rates], label="5 failures in all")
ax.set_yscale("log")
ax.legend()
show(
    fig,
    alt="Error rate from 1 to 55 % against the average number of calls until a breaker opens: 5 failures in all take "
    "500 calls at 1 % and 25 at 20 %; 5 in a row take ten billion at 1 %, 3,905 at 20 %, and about 42 at 55 %.",
)

# %% [markdown]
# At 1 % it is 500 calls against ten billion; at 20 % 25 against 3,905. In a real outage, at 100 %, both take five. So a
# **success must reset the count**.
#
# ## Second: a crowd
# One caller a second is a quiet service. One thing changes: a hundred callers stand there at the moment when the
# timeout is over. "Allow one request through to test", says the comment in the listing.


# %%
def knock(make_breaker, callers=100, state=lambda one: one.state.value, failures=lambda one: one.failure_count):
    """Three failures, half a minute of peace, and then so many callers in the same instant."""
    world = World(seed=2)
    service = world.service("service", [error(after=0.1)] * 3, then=ok(after=2.0))

    async def main():
        watched = WatchedBreaker(make_breaker(), state, failures)

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
    "A hundred callers knock in the same instant, the breaker's timeout is over. How many reach the service?",
    [1, 3, 97, 100],
    lambda: passed(knock(lambda: LectureCircuitBreaker(3, 30.0))),
    why="The first one makes it half-open and starts to wait. Half-open turns nobody down, so the other 99 follow "
    "while the first one still waits for its answer.",
    picture=lambda _: breaker_picture(
        knock(lambda: LectureCircuitBreaker(3, 30.0)),
        "A hundred callers at the end of the timeout",
        until=36,
        height=120,
    ),
)

# %% [markdown]
# Nothing enforces the comment. What it takes is a count of the calls that are *under way* while half-open, looked at
# and increased before the first `await`. That this is enough, without any lock, is worth a look of its own.
#
# ## asyncio you need
# **Between two awaits nobody else runs.** Two callers look whether the gate is free. In the upper picture there is
# an `await` between looking and taking, in the lower one they look and take in one go.


# %%
def at_the_gate(pause):
    async def caller(name, gate):
        if gate["free"]:
            if pause:
                await asyncio.sleep(0.2)  # somebody else runs here
            gate["free"] = False
            mark("through", lane=name)
        else:
            mark("turned down", lane=name)

    async def main():
        gate = {"free": True}
        async with asyncio.TaskGroup() as group:
            group.create_task(caller("alice", gate), name="alice")
            group.create_task(caller("bob", gate), name="bob")

    return simulate(main()).timeline


show(compare(at_the_gate(pause=True), at_the_gate(pause=False), titles=("look, await, take", "look and take")))

# %% [markdown]
# **A cancellation lands at the `await`**, as a `CancelledError`. It is no `Exception`: `except Exception` doesn't see
# it, `finally` runs. And it says that a *caller* has lost patience, nothing about the service.


# %%
async def impatient_caller():
    async def probe():
        try:
            await asyncio.sleep(5)
        except Exception:
            mark("except Exception", lane="probe")
        finally:
            mark("finally", lane="probe")

    task = asyncio.create_task(probe(), name="probe")
    await asyncio.sleep(2)
    mark("cancel")
    task.cancel()


show(simulate(impatient_caller()).timeline)

# %% [markdown]
# **Calls end in another order than they begin.** What was true when a call was let through may be history when its
# result comes in. Whoever needs to know takes a note *before* the `await` and compares it *after*.
#
# ## Third: a late result
# The last change in the lecture's world: one caller has a slow request. It set out when everything was well, at 0 s,
# and comes back with a good answer at 33 s. In between the service has gone down. At 32 s the breaker lets a probe
# through, which takes five seconds, and fails.


# %%
def late_result(make_breaker):
    """A slow call from before the outage comes back while a probe waits; then one caller after the other."""
    world = World(seed=3)
    slow = world.service("slow", latency=33)
    service = world.service("service", [error(after=0.2)] * 3, then=error(after=5))

    async def main():
        watched = WatchedBreaker(make_breaker(), lambda one: one.state.value, lambda one: one.failure_count)

        async def caller(op):
            try:
                await watched.call(op)
            except Exception:
                pass

        async with asyncio.TaskGroup() as group:
            group.create_task(caller(slow), name="slow call")
            await asyncio.sleep(1)
            for name, pause in [("before", 0.4)] * 2 + [("before", 30.4), ("probe", 5.8)] + [("next", 0.5)] * 4:
                group.create_task(caller(service), name=name)
                await asyncio.sleep(pause)

    return simulate(main(), world=world).timeline


# %%
def state_at(timeline, instant):
    return [one.value for one in timeline.marks("state") if one.at <= instant][-1]


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The slow call's good answer comes in at 33 s, while the probe still waits. Which state is the breaker in then?",
    ["closed", "open", "half_open"],
    lambda: state_at(late_result(lambda: LectureCircuitBreaker(3, 30.0)), 33.5),
    why="Any success closes it while it is half-open, also one that left before the outage and knows nothing of it.",
)

# %% [markdown]
# The cure is a note. Take down in which state the call was let through, before the `await`, and compare after it. Here
# this is added to the lecture's breaker, and nothing else. Four more callers come from 38 s on, after the probe has
# failed. What becomes of them in each of the two pictures?


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


# %%
before = late_result(lambda: LectureCircuitBreaker(3, 30.0))
after = late_result(lambda: LectureBreakerWithNotes(3, 30.0))
look = {"until": 45, "bin": 0, "height": 80}
show(
    breaker_picture(before, "Before: the late answer closes the circuit, and callers walk into the outage", **look),
    fold="Without the note",
)
show(breaker_picture(after, "After: only the probe decides", **look), fold="With the note")

# %% [markdown]
# One question stays open. A call is let through while closed, the breaker opens, half-opens and closes again, and only
# then the call fails: late, and yet the states are equal. So number the *periods* from one change of state to the next
# and compare the numbers.
#
# ## Turn the knobs
# Twenty callers, each about once a second. The service fails at random at the rate of the slider, and from 20 s to 30 s
# always; an answer takes 2 s. Can you find settings where the breaker opens in the outage only, and at most one call is
# spent on each trial? `window` is a third way to count: failures within the last ten seconds.


# %%
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
            self.bad = [] if self.semantics == "in a row" else self.bad
            if self.state == "half_open":
                self.go("closed")


# %%
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
        watched = WatchedBreaker(breaker, lambda one: one.state, lambda one: len(one.bad))
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(caller(watched, number / 20), name=f"caller {number + 1}")

    return breaker_picture(simulate(main(), world=world).timeline, "", until=60, height=130)


# %%
explore(
    knobs,
    alt="State of a breaker as a ribbon over the calls of twenty callers, with an outage from 20 s to 30 s.",
    labels={"threshold": "failure threshold", "recovery": "recovery time, s", "half_open_max": "half-open max",
            "error_rate": "error rate, %", "semantics": "failures are counted"},
    threshold=(1, 20), recovery=(1, 20), half_open_max=(1, 20), error_rate=(0, 30),
    semantics=["in all", "in a row", "window"],
)  # fmt: skip

# %% [markdown]
# A long recovery time and a small threshold make a calm picture, and pay for it: the service is well, and nobody asks.
# A threshold of 1 opens at every hiccup: it *flaps*.
#
# ## Warm-ups
# **Trace the states.** A TinyBreaker with `threshold=2` and `recovery_time=10`. Calls start at 0, 1, 2, 3, 9 and 14 s;
# the service fails at 0, 2 and 3 s and works at any other time. Each call takes no time.


# %%
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
    why="The success at 1 s resets the count, so it takes the failures at 2 s and 3 s. It is open until 13 s: the call "
    "at 9 s is turned down, the one at 14 s is let through.",
)

# %% [markdown]
# **Mend the counter.** It should say whether there were `limit` failures in a row so far. Change one
# line, then run its cell and the folded one after it.


# %%
class RowCounter:
    def __init__(self, limit):
        self.limit, self.count = limit, 0

    def add(self, worked):
        """Take down one more result; returns whether the last `limit` ones were failures."""
        if not worked:
            self.count += 1
        return self.count >= self.limit


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def counter_trial():
    for results, right in (("FWFF", False), ("WFFF", True), ("FFWF", False), ("FFFW", False)):
        counter = RowCounter(3)
        *_, said = [counter.add(letter == "W") for letter in results]
        if said != right:
            return f"after {results} (F failed, W worked) it says {said}, with limit=3"
    return ""


_ = mended(counter_trial, hint="What should the count be after a success? `self.count = 0 if worked else ...`")

# %% [markdown]
# **Whose probe is it?** A breaker lets one probe through, and its caller is cancelled after two seconds. There is no
# `finally` in it. An hour later a hundred callers come, and the service has been well for ages. How many get through?


# %%
def without_finally():
    """A gate for one probe that gives the place back when the probe returns, and only then."""
    world = World()
    service = world.service("service", [hang()])
    gate = {"free": True}

    async def probe():
        if gate["free"]:
            gate["free"] = False
            try:
                await service()
            except Exception:
                pass
            gate["free"] = True

    async def main():
        first = asyncio.create_task(probe())
        await asyncio.sleep(2)
        first.cancel()
        await asyncio.sleep(3600)
        await asyncio.gather(*(probe() for _ in range(100)))

    return len(simulate(main(), world=world).timeline.calls()) - 1


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "How many of the hundred get through?",
    [0, 1, 99, 100],
    without_finally,
    why="`CancelledError` is no `Exception`, so the line that frees the place never ran. One impatient user, and the "
    "circuit never closes again.",
)

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
# `op` is called without arguments and returns a fresh awaitable each time. What it returns or raises comes out
# unchanged, the very object.
#
# **Closed.** `failure_threshold` failures in a row open the circuit; the row is that of the *ends* of calls. A success
# starts the count anew. An exception with `is_failure(exc) == False` counts as a success. When `op()` itself raises,
# before there is anything to await, that counts as well. Calls run side by side, and breakers share nothing.
#
# **Open.** For `recovery_time` seconds every call is turned down at once with `CircuitOpenError`, and `op` isn't
# called. Its `retry_after` is the number of seconds that are left.
#
# **Half-open.** After that time at most `half_open_max` calls are under way at once; the others are turned down with
# `CircuitOpenError`, whose `retry_after` is then any number from 0 up. `success_threshold` successes close the circuit,
# and counting starts at zero. Any failure opens it again, for a full `recovery_time` from that moment.
# `on_state_change(old, new)` is called once for each change of state, in order.
#
# **Cancellation.** A cancelled call is neither a failure nor a success, and its cancellation goes on at once. A
# cancelled probe gives its place back.
#
# **Late results.** A period begins at each change of state. Results of calls that were let through in an earlier
# period are ignored: their callers get them, the breaker learns nothing.
#
# Time is the loop's (`asyncio.get_running_loop().time()`); `time.monotonic()` reads the same. Whether the state turns
# to half-open by itself or at the next call is up to you. Each of the five is a step:
# `check("circuit_breaker", step=1)` judges Closed alone.


# %% exercise="circuit_breaker"
class CircuitOpenError(Exception):
    """Rejected without a call; it makes no sense to ask again before `retry_after` seconds have passed."""

    def __init__(self, retry_after: float):
        super().__init__(f"the circuit is open, ask again in {retry_after:.1f} s")
        self.retry_after = retry_after


class CircuitBreaker:
    """Stops calling what keeps failing, and finds out with few calls whether it is well again."""

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
# Three small questions, three small methods: may this call through (`_admit`), what does its result mean (`_record`),
# and what belongs to a change of state (`_enter`)? None of them contains an `await`, so nobody can come in between. In
# `call` there is exactly one: `await op()`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `_enter(state)` sets *everything* that belongs to a period: its number (one more), the instant, the failures, the
# successes, the calls under way. Then each opening, reopening and closing is right by itself. `call` takes down the
# period's number before the `await`; `_record` begins with comparing it. The place of a probe is given back in
# `finally`, if the period is still the same.
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
#
# ## The incident, once more
# The same sixty workers, the same cold database, and your breaker, with `success_threshold=5`: five good probes, one
# after the other, before the crowd may come.


# %%
def yours(**options):
    """Your breaker, watched."""
    return WatchedBreaker(CircuitBreaker(**options), lambda one: getattr(one.state, "value", one.state), lambda one: 0)


try:
    options = {"failure_threshold": 3, "recovery_time": 10.0, "success_threshold": 5}
    your_minute = incident(lambda: yours(**options))
    show(raster(your_minute, title="Your breaker", state="state", states=STATES, who="workers", until=60, height=150,
                steps={"turned down so far": marked(your_minute, "rejected")}))  # fmt: skip
except BaseException as problem:
    print(f"Your breaker isn't ready for this yet: {problem!r}")

# %% [markdown]
# ## What practitioners use
# Before you write your own in earnest: what is there? Four libraries for asyncio, all real, all as they come from the
# package index. Two of them ask `datetime` for the time, which the virtual clock can't move, and one keeps a clock of
# its own; they are lent one that follows ours. Each sees three failures, rests for its recovery time, and then **25
# callers knock in one instant**.


# %%
class MovedDatetime(datetime.datetime):
    """A `datetime` that follows the virtual clock."""

    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(time.time(), datetime.UTC).replace(tzinfo=None)

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz) if tz else cls.utcnow()


class Adapter:
    """The one method that all breakers are given here: `await call(op)`."""

    def __init__(self, call):
        self.call = call


# %%
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


# %%
def with_purgatory():
    factory = purgatory.AsyncCircuitBreakerFactory(default_threshold=3, default_ttl=30)

    async def call(op):
        async with await factory.get_breaker("service"):
            return await op()

    return Adapter(call)


def with_lecture():
    return LectureCircuitBreaker(3, 30.0)


def with_yours():
    return CircuitBreaker(failure_threshold=3, recovery_time=30.0)


# %%
def knockers(make_breaker, callers=25):
    """How many of the callers get through."""
    with contextlib.ExitStack() as lent:
        for module in (aiobreaker.state, aiobreaker.circuitbreaker, hyx.circuitbreaker.states):
            lent.enter_context(mock.patch.object(module, "datetime", MovedDatetime))
        lent.enter_context(mock.patch.object(circuitbreaker, "monotonic", time.monotonic))
        return passed(knock(make_breaker, callers, lambda _: "", lambda _: 0))


def let_through():
    """Of each breaker's 25 callers so many got through; yours has 0 as long as it isn't ready."""
    makers = {
        "the lecture's": with_lecture,
        "aiobreaker 1.2": with_aiobreaker,
        "circuitbreaker 2.1": with_circuitbreaker,
        "hyx 0.0.2": with_hyx,
        "purgatory 3.0": with_purgatory,
    }
    found = {name: knockers(make) for name, make in makers.items()}
    try:
        found["yours"] = knockers(with_yours)
    except BaseException:
        found["yours"] = 0
    return found


# %%
through = let_through()
fig, ax = axes("25 knock while half-open, so many reach the service", "calls that reach the service", height=2.8)
bars = ax.barh(list(through), list(through.values()), color=["#D55E00"] * 5 + ["#009E73"])
ax.bar_label(bars, labels=[str(count) for count in through.values()], padding=4)
ax.invert_yaxis()
ax.set_xlim(0, 29)
show(
    fig,
    alt="Of 25 callers these many reach the service: " + ", ".join(f"{name} {n}" for name, n in through.items()) + ".",
    fold="How many get through?",
)

# %% [markdown]
# All four let the whole crowd in. aiobreaker has had no release since 2021 and hyx none since 2023; purgatory's is of
# 2024, circuitbreaker's of 2025 (package index, November 2026). In production many teams leave this to the mesh or
# proxy in front of the service (Envoy calls it *outlier detection*), or to the libraries of other worlds. Their
# defaults, from their documentation and source:
#
# | | opens at | window | stays open | probes |
# |---|---|---|---|---|
# | resilience4j (Java) | 50 % failures of at least 100 calls | the last 100 calls | 60 s | 10 |
# | Polly 8 (.NET) | 10 % failures of at least 100 calls | 30 s | 5 s | 1 |
#
# Both judge a *share* in a window with a smallest number of calls: five failures in a row mean one thing at two calls a
# minute, and another at a thousand a second. resilience4j also has a third verdict beside success and failure,
# *ignored* (`ignoreExceptions`): the error goes to its caller, a probe gives its place back, and nothing is counted. It
# fits errors that say nothing about the service, such as "no room in our own queue". Ours knows two: an error that is no
# failure counts as a success.
#
# ## Whose breaker? A quarter of an outage
# A database is split into four shards, by customer, and one of them is dead. A quarter of all requests fails. In front
# stands one breaker with Polly's defaults; a hundred requests a second arrive. How many of them are answered?


# %%
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


# %%
def partial_outage(breaker_for, shards=4, seconds=600, a_second=100):
    """Shares of the requests that are answered, failed and turned down, with the last shard dead."""
    draw, counts = random.Random(9), {"answered": 0, "failed": 0, "turned down": 0}
    for number in range(seconds * a_second):
        now, shard = number / a_second, draw.randrange(shards)
        breaker, well = breaker_for(shard), shard < shards - 1
        if breaker is not None and not breaker.admits(now):
            counts["turned down"] += 1
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
estimate(
    "One breaker for all four shards, one of them dead: how many per cent of the requests are answered?",
    lambda: 100 * scopes()["one for all shards"]["answered"],
    unit="%",
    tolerance=0.2,
    why="A second after it closes it has seen a hundred calls, a quarter of them failed, and it opens for five "
    "seconds, for the healthy shards as well. Without any breaker it would be 75 %.",
)

# %%
shares = scopes()
fig, ax = axes("One of four shards is dead", "share of all requests", height=2.6)
left = [0.0] * len(shares)
for name, color, hatch in (("answered", "#009E73", ""), ("failed", "#D55E00", "//"), ("turned down", "#BBBBBB", "")):
    widths = [found[name] for found in shares.values()]
    bars = ax.barh(list(shares), widths, left=left, color=color, hatch=hatch, edgecolor="white", label=name)
    ax.bar_label(bars, labels=[f"{w:.0%}" if w > 0.04 else "" for w in widths], label_type="center")
    left = [a + b for a, b in zip(left, widths, strict=True)]
ax.invert_yaxis()
ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=3, frameon=False)
show(
    fig,
    alt=". ".join(f"{name}: {', '.join(f'{w:.0%} {what}' for what, w in s.items())}" for name, s in shares.items()),
    fold="What does each scope answer?",
)

# %% [markdown]
# One breaker makes an outage of 25 % into one of almost 90 %. One for each shard answers what can be answered, and
# spares the dead shard nearly all calls. **A breaker belongs to what fails together**: a shard, a host, an endpoint.
# Marc Brooker of AWS makes this his objection to breakers in clients, who seldom know how the service is split
# (*Will circuit breakers solve my problems?*, brooker.co.za, 2022).
#
# <details><summary>Code review: what else is wrong in the listing</summary>
#
# * Missing users open the circuit. Every error is a failure, also one that says that the question was wrong. Hence
#   `is_failure`.
# * A failure that comes in while it is open sets `last_failure_time` again. With sixty slow calls under way that fail
#   one after the other, a second apart, the circuit recovers at 90 s instead of 33 s.
# * A call that is cancelled records nothing. That is right, but then a service that *hangs* never opens the circuit
#   when the callers' own timeouts cancel it. The timeout belongs inside: `breaker.call(lambda: with_timeout(op))`, so
#   that it ends as an error.
# * `Open` without a `last_failure_time` runs the operation. It can't happen, and the type allows it.
# * Five failures in a microsecond count like five in a month: no window, no smallest number of calls. Nor is a slow
#   answer ever a failure.
# * A caller that is turned down isn't told for how long. Hence `retry_after`.
# * Both locks can be waited for in a ring; see "For Rust readers".
#
# </details>
#
# ## Questions
# <details><summary>A probe is cancelled because its user closed the browser. Is that a success, a failure, or neither?
# </summary>
#
# Products disagree. Polly takes it for no failure, and closes the circuit; purgatory counts a failure; resilience4j
# gives the place back and draws no conclusion; aiobreaker stays half-open. The user said nothing about the service, so
# here the answer is *neither*. If it were a failure, impatient users could keep a healthy service shut; if it were a
# success, a hanging service would look well.
#
# </details>
#
# Retry makes four attempts. The breaker has a threshold of 5, and the service is down. Does retry belong around the
# breaker or inside it? Count the attempts until it opens.


# %%
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
    "Attempts that reach the dead service before the circuit opens: retry around the breaker, retry inside it?",
    {"5 and 5": (5, 5), "5 and 20": (5, 20), "20 and 5": (20, 5), "20 and 20": (20, 20)},
    lambda: (attempts_until_open(retry_inside=False), attempts_until_open(retry_inside=True)),
    why="Inside, the breaker sees one failure where there were four. So retry goes around it, and doesn't retry when "
    "the circuit is open.",
)

# %% [markdown]
# <details><summary>For Rust readers</summary>
#
# * The lecture's three `RwLock`s become plain attributes. In asyncio one thread runs everything, and a stretch without
#   `await` is a critical section by itself.
# * In Rust the two halves can meet in a deadlock: `on_success` locks the state and then the count, `on_failure` the
#   count and then the state. Two probes that end together, one well and one badly, on a runtime with several threads:
#   each holds what the other waits for, and from then on so does every call. One lock around all three fields, or
#   one order of locking, cures it.
# * Between the read of `state` and the write of `HalfOpen` the read lock is gone: two callers may both believe to be
#   the first.
# * A dropped future is a cancelled one. What `finally` does here, a guard with `Drop` does there.
# * `FnOnce() -> Fut` is what we call `op`: something to call that gives a fresh awaitable.
# * `CircuitBreakerError::OperationFailed(e)` wraps the error, as a `Result` must. With exceptions it is simpler to let
#   the operation's own error pass, and to have one class for being turned down.
#
# </details>
