# %% [markdown]
# # Takeaways
#
# **Why does it stay dead?** In the first notebook ten seconds without a cable killed a service for good, and nobody in
# the room could say why. Here you find out, cure it, and pull the same cable once more: this time the service is built
# from your own answers. Then come the lecture's five takeaways, each with questions.
#
# About 40 minutes to read and try, and as long as you like for the questions. Nothing here is graded.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
from itertools import count, pairwise

from autograder import own_answer
from faultlab import COLORS, World, axes, error, hang, label_lines, live, mark, ok, play, show, simulate
from faultlab.explore import explore
from faultlab.notebook import start
from faultlab.raster import Interval, raster, slots
from faultlab.warmup import arrange, estimate, predict

start()

# %%
import asyncio
import heapq
import random
from collections import deque
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

# %% [markdown]
# ## The evening, once more
#
# You know the story: 280 requests a second, a database that can do 300, and users who wait for one second and then ask
# once more. Between second 30 and second 40 the cable is out. This time the calculation has switches, because we want
# to try things. The folded cells hold it: a database with a queue, and users with patience. `collapse()` plays five
# minutes and returns two lists: the requests asked in each second, and those answered in time.
#
# | switch of `collapse` | what it sets |
# |---|---|
# | `rate=280`, `attempts=2` | users a second, and how often each of them tries |
# | `jitter=0` | the second attempt comes at a random moment within so many seconds |
# | `room=None` | how many requests fit into the queue; a further one is lost |
# | `lifo=False` | whether the newest request in the queue comes first |
# | `drop_late=False` | whether the database leaves out a request whose user no longer waits |
# | `budget=None` | a share of second attempts, of which more below |
# | `cut=None` | `(100, 140)`: from second 100 on only 140 users a second |


# %% tags=["plumbing"] jupyter={"source_hidden": true}
@dataclass(slots=True)
class Request:
    came: float
    answered: bool = False


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class Database:
    def __init__(self, capacity=300, patience=1.0, outage=(30, 40), lifo=False, room=None, drop_late=False):
        self.capacity, self.patience, self.outage = capacity, patience, outage
        self.lifo, self.room, self.drop_late = lifo, room, drop_late
        self.queue, self.free = deque(), 0.0

    def take(self, now):
        request = Request(now)
        if self.room is None or len(self.queue) < self.room:
            self.queue.append(request)
        return request

    def work_until(self, now):
        """Yield the instant of each answer that comes in time."""
        while self.queue and self.free <= now:
            request = self.queue[-1 if self.lifo else 0]
            begins = max(self.free, request.came)
            if self.outage[0] <= begins < self.outage[1]:
                self.free = self.outage[1]
                continue
            self.queue.pop() if self.lifo else self.queue.popleft()
            if not self.drop_late or begins <= request.came + self.patience:
                self.free = begins + 1 / self.capacity
                request.answered = self.free <= request.came + self.patience
                yield from [self.free] * request.answered


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def collapse(
    rate=280, attempts=2, jitter=0.0, budget=None, earned_by="answers", cut=None, steady=False, seconds=300, **switches
):
    """Return how many requests were asked, and how many answered in time, in each second."""
    database, draw, number, tokens = Database(**switches), random.Random(1), count(), 10.0
    asked, good = [0] * seconds, [0] * seconds
    coming = [(draw.expovariate(rate), next(number), 1, None)]
    while coming:
        now, _, attempt, request = heapq.heappop(coming)
        if now >= seconds:
            break
        for at in database.work_until(now):
            good[min(int(at), seconds - 1)] += 1
            tokens = min(10, tokens + (budget or 0) * (earned_by == "answers"))
        if request is None:  # an attempt; its user looks for the answer when the patience is over
            asked[int(now)] += 1
            heapq.heappush(coming, (now + database.patience, next(number), attempt, database.take(now)))
            if attempt == 1:
                tokens = min(10, tokens + (budget or 0) * (earned_by == "requests"))
                current = cut[1] if cut and now > cut[0] else rate
                gap = 1 / current if steady else draw.expovariate(current)
                heapq.heappush(coming, (now + gap, next(number), 1, None))
        elif not request.answered and attempt < attempts and (budget is None or tokens >= 1):
            tokens -= budget is not None
            heapq.heappush(coming, (now + draw.uniform(0, jitter), next(number), attempt + 1, None))
    return asked, good


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def level(counts, start=200, end=300):
    """The mean of the seconds from `start` to `end`."""
    return sum(counts[start:end]) / (end - start)


def smooth(counts, width=5):
    return [sum(counts[at : at + width]) / width for at in range(0, len(counts) - width + 1, width)]


def cable_out(ax, high=None):
    ax.axvspan(30, 40, color=COLORS["fault"])
    if high:
        ax.text(35, high, "cable out", ha="center", va="top", fontsize=9)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def over_time(asked, good, title, width=1, high=680):
    """Requests a second over the evening; each point is the mean of `width` seconds."""
    fig, ax = axes(title, "seconds", "requests a second", width=8.6)
    cable_out(ax, 0.99 * high)
    ax.axhline(300, color=COLORS["pale"], linewidth=0.8)
    ax.text(298, 308, "what the database can do: 300", ha="right", fontsize=9)
    places = range(0, len(asked) - width + 1, width)
    ax.plot(places, smooth(asked, width), label="asked", color=COLORS["attempt"], linestyle="--", linewidth=1.3)
    ax.plot(places, smooth(good, width), label="answered in time", color=COLORS["answered"], linewidth=1.6)
    ax.set(xlim=(0, 300), ylim=(-12, high))
    label_lines(ax)
    return fig


# %%
asked, good = collapse()
print(f"long after the cable is back: {level(asked):.0f} asked, {level(good):.0f} answered in time, each second")
show(
    over_time(asked, good, "Ten seconds without a cable: does the service come back?"),
    alt="280 requests a second are asked and answered until second 30. From second 31 on about 560 are asked and "
    "none is answered in time, until the end at 300 s.",
)

# %% [markdown]
# Now the same two numbers as a pair: to the right what is asked, upward what is answered in time. Each point is the
# mean of five seconds, and the points are joined. **Where on this map does the service rest while it is healthy, and
# where does it end?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def phase(ax, asked, good, label, **look):
    ax.plot(smooth(asked), smooth(good), marker="o", markersize=3.5, linewidth=1.2, label=label, **look)


def phase_map(title):
    fig, ax = axes(title, "asked, requests a second", "answered in time, requests a second", width=6.6, height=4.2)
    ax.plot([0, 300, 300], [0, 300, -20], color=COLORS["waiting"], linestyle=":", linewidth=1)
    ax.text(62, 82, "everything answered", rotation=46, fontsize=9, color=COLORS["pale"])
    ax.text(306, 30, "the database's limit", fontsize=9, color=COLORS["pale"])
    ax.set(xlim=(0, 640), ylim=(-20, 340))
    return fig, ax


def pointed(ax, words, at, place):
    ax.annotate(words, at, place, fontsize=9, arrowprops={"arrowstyle": "->"})


# %% tags=["plumbing"] jupyter={"source_hidden": true}
fig, ax = phase_map("Where does the service rest? A point is five seconds")
phase(ax, asked, good, "two attempts", color=COLORS["ink"])
pointed(ax, "healthy: here until second 30", (280, 278), (330, 300))
pointed(ax, "dead: here forever", (556, 2), (500, 90))
show(
    fig,
    alt="Two clusters of points: 280 asked and 280 answered, and 560 asked and 0 answered. The path leads from the "
    "first to the second and doesn't come back.",
    fold="What happens",
)

# %% [markdown]
# There are **two** states in which this system rests. In the healthy one each answer comes in time, so no user asks
# twice, so there is no crowd, so each answer comes in time. In the dead one each answer comes too late, so every user
# asks twice, so 560 requests come where 300 can be served, so each answer comes too late. Both states sustain
# themselves. The outage only pushed the system from one to the other: it was the *trigger*, and it has been over for
# minutes. The second attempts keep the service dead: they are the *sustaining effect*. You can look for the trigger in
# the logs, find it and fix it, and nothing changes.
#
# Such a failure is called **metastable**. It isn't rare. A study counts 22 of them in 11 organisations; in one cloud
# they were at least 4 of the 15 major outages of ten years (Huang and others, "Metastable Failures in the Wild", OSDI
# 2022). Our numbers, 280, 300, 560 and 0, are those of Bronson and others, "Metastable Failures in Distributed
# Systems", HotOS 2021.
#
# **When is a service in danger?** With fewer users the crowd fits. Up to how many users a second can the database
# serve, even when all of them ask twice?


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def threshold():
    """The highest of some rates at which it comes back within five minutes (tried with a tenth of everything)."""
    kept = {rate: level(collapse(rate / 10, steady=True, capacity=30)[1]) for rate in (60, 100, 140, 160, 220)}
    return max(rate for rate, good in kept.items() if good > 0.09 * rate)


predict(
    "Up to about which rate does the service come back by itself?",
    {"75 a second": 75, "150 a second": 150, "225 a second": 225, "295 a second": 295},
    lambda: min((75, 150, 225, 295), key=lambda rate: abs(rate - threshold())),
    why="Two attempts each: 150 users make 300 requests. Between 150 and 300 the service works, perhaps for years, "
    "until one push comes. (Just below 150 it comes back, but takes its time.)",
)


# %% [markdown]
# ## What helps, and what doesn't
#
# Takeaway 2 says: retry with exponential backoff, but add jitter. So let's add jitter, and plenty: each second attempt
# is made at a random moment of the following ten seconds.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
jittered = collapse(jitter=10)
predict(
    "With a jitter of 10 seconds: how many requests a second are answered in time, minutes later?",
    [280, 140, 20, 0],
    lambda: round(level(jittered[1])),
    why="Jitter spreads the second attempts over time. It removes none of them: 280 users, two attempts each, still "
    "560 a second. Sixty seconds of jitter change nothing either. Jitter is for a crowd that comes at the same moment; "
    "this crowd comes all the time.",
)

# %%
show(
    over_time(*jittered, "With ten seconds of jitter: does the service come back?"),
    alt="As without jitter: from second 30 on none is answered in time; the requests asked rise to 560 over ten seconds, "
    "and stay there.",
    fold="What happens",
)

# %% [markdown]
# Five more candidates. **Which of them bring the service back, and which of these do it within seconds?**

# %%
CANDIDATES = {
    "last come, first served": {"lifo": True},
    "room for 150 in the queue": {"room": 150},
    "late requests aren't begun": {"drop_late": True},
    "a retry budget of 10 %": {"budget": 0.1},
    "one attempt only": {"attempts": 1},
}


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def small_multiples(title, rows, unit=1):
    """For each name what was asked (a line) and what was answered (an area), in requests a second, all on one scale."""
    fig, only = axes(width=8.2, height=0.6 + 0.92 * len(rows))
    only.remove()
    fig.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    panels = fig.subplots(len(rows), 1, sharex=True, sharey=True)
    for ax, (name, (asked, good, width)) in zip(panels, rows.items(), strict=True):
        places = range(0, len(asked) - width + 1, width)
        cable_out(ax)
        ax.stackplot(places, [unit * one for one in smooth(good, width)], colors=[COLORS["answered"]], step="post")
        ax.plot(places, [unit * one for one in smooth(asked, width)], color=COLORS["attempt"], linewidth=1.2)
        ax.set_title(name, loc="left", fontsize=9, pad=2)
        ax.set(xlim=(0, places[-1]), ylim=(0, 640), yticks=(0, 280, 560))
        ax.set_ylabel("requests\na second", fontsize=8)
        ax.tick_params(labelsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    key = "blue line: asked · green: answered in time · shaded: cable out"
    panels[-1].set_xlabel(f"seconds\n{key}", fontsize=9)
    return fig


# %% tags=["plumbing"] jupyter={"source_hidden": true}
tried = {name: collapse(**switches) for name, switches in CANDIDATES.items()}
show(
    small_multiples(
        "When do the answers come back?",
        {"nothing changed": (asked, good, 5)} | {name: (*counts, 5) for name, counts in tried.items()},
    ),
    alt="Six rows. Nothing changed: no answers after 30 s, 560 asked. Last come first served, and room for 150: 280 "
    "answered soon after 40 s. Late requests aren't begun: 280 after some 70 s. Retry budget, and one attempt: nothing is "
    "answered until about 155 s, then 280.",
    fold="What happens",
)

# %% [markdown]
# <details><summary>What the five have in common, and what not</summary>
#
# All five bring it back.
#
# * The first three cure the **queue**: a request whose user has given up no longer delays the others. They help within
#   seconds.
# * The last two cure the **crowd**. They help too, but first the database has to work off the backlog, at 20 requests a
#   second more than come in. For two minutes the service is as good as dead, and then it is well.
# </details>
#
# And this is what operators do at night: they take away half of the users after 100 seconds.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "From second 100 on only 140 users a second come. How many requests a second are answered in time at 200-300 s?",
    [140, 70, 0],
    lambda: round(level(collapse(cut=(100, 140))[1])),
    why="Two attempts each make 280 requests, and there is a backlog of some 15,000, which shrinks by 20 a second. The "
    "cut has to be deeper, or much longer.",
)

# %% [markdown]
# ## Hunt the budget
#
# A **retry budget** says: second attempts may be only a small share of all requests. A bucket holds tokens; a second
# attempt takes one, and without a token there is no second attempt. What fills the bucket? There are two schools:
#
# * each *request* brings a fraction of a token (10 %: one second attempt for ten requests, "Site Reliability
#   Engineering", chapter 21);
# * each *answer in time* brings it (Brooker, "Fixing retries with token buckets and circuit breakers", 2022; the AWS
#   SDKs do so).
#
# On a good day both schools are nearly the same. **Find the largest budget with which the service comes back within
# five minutes, for each school.** (To be quick, each simulated request stands for twenty. Here requests come evenly
# spaced: with random gaps, a service so small and so full would fail without any outage.)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
STANDS_FOR = 20
"""How many requests each simulated one stands for."""


def small_evening(attempts=2, jitter=0, earned_by="no budget", budget=20):
    share = None if earned_by == "no budget" else budget / 100
    counts = collapse(280 / STANDS_FOR, attempts, jitter, share, earned_by, steady=True, capacity=300 / STANDS_FOR)
    asked, good = ([STANDS_FOR * one for one in each] for each in counts)
    said = f"{level(asked):.0f} asked and {level(good):.0f} answered in time at 200-300 s"
    return over_time(asked, good, f"Does it come back? {said}", 5, 1300)


explore(
    small_evening,
    alt="Requests a second, asked and answered in time, over 300 seconds, with an outage from 30 to 40 s.",
    labels={"jitter": "jitter, s", "budget": "budget, %", "earned_by": "tokens come with"},
    attempts=(1, 4),
    jitter=(0, 60, 5),
    earned_by=["no budget", "requests", "answers"],
    budget=(0, 100),
)

# %% [markdown]
# <details><summary>What there is to find</summary>
#
# A budget by requests has to fit into the spare capacity: 280 and 10 % are 308, more than 300, and the service stays
# dead. Even 5 % leave so little capacity that the backlog needs more than five minutes; 2 or 3 % are the most. A budget
# by answers may be 100 %: where nothing is answered nothing may be retried, so the crowd goes away just when it
# matters. Jitter doesn't change this, and neither do more than two attempts.
# </details>

# %% [markdown] lecture="Exercises"
# ## The same cable, and your service
#
# The lecture ends with four exercises; this course has ten: errors, retry, circuit breaker, timeouts, bulkhead, health,
# degradation, logging, shutdown, and the service that puts them in order. Now they get their turn. The next cell looks
# into your other notebooks, runs their checks, and takes each answer that passes. Where an answer is missing or doesn't
# pass, a worked part fills the gap, and the cell says so. It takes some seconds.
#
# <details><summary>Where do the worked parts come from?</summary>
#
# From the two folded cells that follow. They are the solutions of ten notebooks: open them after you have solved
# yours.
# </details>

# %% toolkit="true" jupyter={"source_hidden": true}
import contextlib
import contextvars
import json
import math
import sqlite3
import time

from prometheus_client import CollectorRegistry, Counter, generate_latest


class ServiceError(Exception):
    retryable, status = False, 500


class NotFound(ServiceError):
    status = 404

    def __init__(self, resource, key):
        super().__init__(f"{resource} {key!r} not found")
        self.resource, self.key = resource, key


class InvalidInput(ServiceError):
    status = 400


class Unavailable(ServiceError):
    retryable, status = True, 503


class Rejected(ServiceError):
    status = 503


@dataclass(frozen=True)
class Served:
    value: object
    source: str
    age: float
    degraded: bool


# %% toolkit="errors retry circuit_breaker timeouts bulkhead health degradation logging shutdown service" jupyter={"source_hidden": true}

# %% tags=["plumbing"] jupyter={"source_hidden": true}
worked = {
    "errors": {
        "get_user": get_user,
        "NotFound": NotFound,
        "Unavailable": Unavailable,
        "DeadlineExceeded": DeadlineExceeded,
    },
    "retry": {"retry": retry},
    "circuit_breaker": {"CircuitBreaker": CircuitBreaker, "CircuitOpenError": CircuitOpenError},
    "timeouts": {"run_with_deadline": run_with_deadline, "DeadlineExceeded": DeadlineExceeded},
    "bulkhead": {"Bulkhead": Bulkhead},
    "health": {"HealthMonitor": HealthMonitor},
    "degradation": {"Fallback": Fallback},
    "logging": {"Logger": Logger, "serve": serve},
    "shutdown": {"GracefulServer": GracefulServer},
    "service": {"UserService": UserService},
}


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def parts():
    """What the service is made of, by exercise: yours where it passes, otherwise the worked one."""
    chosen = {}
    for exercise, names in worked.items():
        own = own_answer(exercise)
        print(own.line)
        chosen[exercise] = SimpleNamespace(**{name: (own.names or names).get(name, names[name]) for name in names})
    return chosen


part = parts()

# %% [markdown]
# Now the service: a page for each user. First comes what stands between it and the database. Read `from_database` from
# the inside out. You choose the layers by name, so we can take some away. Two lines decide what counts as a failure. A
# missing user is an answer, so the breaker doesn't count `NotFound`, and the retry doesn't repeat it.


# %%
class Layers:
    """An attempt, in the breaker, in the bulkhead, in the retry."""

    def __init__(self, part, fetch_one, layers, patience):
        self.part, self.layers, self.patience = part, layers, patience
        self.database = SimpleNamespace(fetch_one=fetch_one)
        self.breaker = part["circuit_breaker"].CircuitBreaker(
            failure_threshold=5,
            recovery_time=5 * patience,
            is_failure=lambda problem: not isinstance(problem, part["errors"].NotFound),
            on_state_change=lambda _, state: breaker_is(state),
        )
        self.bulkhead = part["bulkhead"].Bulkhead(5)

    async def attempt(self, user):
        ask = partial(self.part["errors"].get_user, self.database, user)
        return await self.part["timeouts"].run_with_deadline(ask, timeout=self.patience, cleanup=self.hang_up)

    async def hang_up(self):
        mark("hangs up")

    async def from_database(self, user):
        call = partial(self.attempt, user)
        if "breaker" in self.layers:
            call = partial(self.breaker.call, call)
        if "bulkhead" in self.layers:
            call = partial(self.bulkhead.run, call)
        errors, late = self.part["errors"], self.part["timeouts"].DeadlineExceeded
        again = (errors.Unavailable, errors.DeadlineExceeded, late)
        return await self.part["retry"].retry(call, max_attempts=2, retry_on=again)


# %% [markdown]
# The shop wraps these layers. It adds old answers where there are no fresh ones, a log line for each visit, a health
# monitor, and your server, which knows how to leave.


# %%
class Shop(Layers):
    def __init__(self, part, fetch_one, layers, patience=1.0):
        super().__init__(part, fetch_one, layers, patience)
        self.lines = []
        self.logger = part["logging"].Logger(self.lines.append)
        self.kept = part["degradation"].Fallback(self.from_database, primary_timeout=3 * patience)
        self.health = part["health"].HealthMonitor(max_p99=3 * patience)
        self.server = part["shutdown"].GracefulServer(self.page)

    async def page(self, user):
        """Where the answer came from."""
        return await self.part["logging"].serve(self.logger, f"page {user}", partial(self.answer, user))

    async def answer(self, user):
        if "old answers" in self.layers:
            return (await self.kept.get(user)).source
        await self.from_database(user)
        return "primary"

    def look(self):
        mark("verdict", "ready" if self.health.ready() else "not ready", lane="every visit")


# %% [markdown]
# The world is a database with a queue, as above, and a visit every so often; the folded cells hold it. Each visit runs
# through all the layers, which is more work than the calculation above. So here, too, each visit stands for twenty: 14
# visits a second, and a database that can do 15. The charts show them as 280 and 300; the run to play shows the 14.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def first_come(capacity, outage):
    free = 0.0

    def script(call):
        nonlocal free
        begins = max(call.at, free)
        free = (outage[1] if outage[0] <= begins < outage[1] else begins) + 1 / capacity
        return ok([call.args[0], "Ada"], after=free - call.at)

    return script


async def visit(shop, user):
    clock = asyncio.get_running_loop().time
    begun = clock()
    try:
        source = await shop.server.handle(user)
    except Exception as problem:
        source = type(problem).__name__
    shop.health.record(clock() - begun, source in ("primary", "cache"))
    mark("visit over", source)
    if clock() - begun < 0.001:
        mark("turned away", lane=f"user {user}")


def breaker_is(state):
    mark("state", getattr(state, "value", state).replace("_", "-"), lane="breaker")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
EVERYTHING = ("breaker", "bulkhead", "old answers")


def evening(
    part, layers=EVERYTHING, seconds=90, rate=14, capacity=15, outage=(30, 40), patience=1.0, people=100, kind=Shop
):
    """A world, and what happens in it: visits for some seconds, and at their end the service is told to leave."""
    world = World()
    database = world.service("database", first_come(capacity, outage))
    cable = {round(outage[0] * rate): "out", round(outage[1] * rate): "plugged in", 0: "plugged in"}

    async def fetch_one(sql, params):
        return tuple(await database.for_lane(f"user {params[0]}")(*params))

    async def happens():
        shop, visits = kind(part, fetch_one, layers, patience), []
        if "breaker" in layers:
            breaker_is("closed")
        for number in range(seconds * rate):
            if number in cable:
                mark("state", cable[number], lane="the cable")
            visits.append(asyncio.create_task(visit(shop, 1 + number % people), name=f"visit {number}"))
            await asyncio.sleep(1 / rate)
            if number % rate == 0:
                shop.look()
        report = await shop.server.shutdown()
        await asyncio.wait(visits)
        return shop, report

    return world, happens


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def storm(part, layers=EVERYTHING, **options):
    world, happens = evening(part, layers, **options)
    return simulate(happens, world=world)


def counted(run, seconds=96):
    """By second: what the database was asked, and how the visits ended."""
    asked, ended = [0] * seconds, {"primary": [0] * seconds, "cache": [0] * seconds, "nothing": [0] * seconds}
    for call in run.timeline.calls("database"):
        asked[int(call.start)] += 1
    for over in run.timeline.marks("visit over"):
        ended[over.value if over.value in ended else "nothing"][int(over.at)] += 1
    return asked, ended


# %% tags=["plumbing"] jupyter={"source_hidden": true}
AREAS = (
    ("primary", "fresh answers", COLORS["answered"], ""),
    ("cache", "old answers (dotted)", COLORS["answered"], ".."),
    ("nothing", "failed: no answer", COLORS["failed"], "//"),
)


def storm_figure(run, title, seconds=90):
    asked, ended = counted(run, seconds + 6)
    fig, ax = axes(title, "seconds", "requests a second", width=7.8)
    cable_out(ax, 690)
    counts = [[STANDS_FOR * one for one in ended[kind]] for kind, *_ in AREAS]
    stack = ax.stackplot(range(seconds + 6), *counts, colors=[color for *_, color, _ in AREAS], step="mid")
    for area, (_, label, _, hatch) in zip(stack, AREAS, strict=True):
        area.set(label=label, hatch=hatch, edgecolor="white", linewidth=0)
    ax.plot([STANDS_FOR * one for one in asked], label="the database is asked", color=COLORS["attempt"], linewidth=1.4)
    ax.set(xlim=(0, seconds - 2), ylim=(0, 720))
    ax.legend(loc="upper right", fontsize=8, ncols=2)
    return fig


# %% [markdown]
# First try it with only two of the parts: the timeout, and your retry with its full jitter. **Before you press Play:
# how many calls a second will the database get at 70 s, and how many of them will be answered?**
#
# The choice above the run adds other parts. Come back to it when you have answered the questions below. With a breaker
# you will see it as a gate, and a cross for each user whom it turns away.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
LOOKS = {"plugged in": "ok", "out": "world", "closed": "ok", "open": "failed", "half-open": "attempt"}
CHOICES = {
    "timeout and retry": (),
    "plus old answers": ("old answers",),
    "plus bulkhead": ("bulkhead",),
    "plus breaker": ("breaker",),
    "all parts": EVERYTHING,
}
two_parts = storm(part, layers=())


def played(parts="timeout and retry"):
    return storm(part, layers=CHOICES[parts]) if CHOICES[parts] else two_parts


def storm_raster(timeline):
    fresh = counted(SimpleNamespace(timeline=timeline))[1]["primary"]
    steps = {"fresh answers, a second": list(enumerate(map(float, fresh)))}
    scales = {"most": 40, "tops": dict.fromkeys(steps, 20)}  # the same for all parts; they tell no answer in advance
    seen = {"state": "state", "states": LOOKS, "steps": steps, "service": "database", "who": "users"} | scales
    return raster(timeline, title="Does the service come back?", width=480, height=150, until=75, bin=1.0, **seen)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
play(
    played,
    parts=list(CHOICES),
    labels={"parts": "parts:"},
    view="flow",
    title="Does the service come back?",
    alt="A hundred users ask one database, whose cable is out from 30 to 40 s. Below, each call as a dot over 75 s.",
    still=storm_raster,
    seconds=25,
    who="users",
    gate="breaker",
    refused="turned away",
)

# %% [markdown]
# Now try it with all of them. **What do the users get while the cable is out, and when do fresh answers return?**

# %%
everything = storm(part)
shop, report = everything.value
show(
    storm_figure(everything, "Your service with all its parts: does it come back?"),
    alt="Fresh answers until second 30; old answers while the cable is out; fresh answers again a few seconds "
    "after 40 s, until the end. The database is hardly asked during the outage.",
    fold="What happens",
)

# %% [markdown]
# <details><summary>What the users got</summary>
#
# Ten seconds without a cable cost ten seconds of old answers, and a little more until the breaker's next probe. Nobody
# saw an error, and nobody was called at night.
# </details>
#
# Here are some numbers from that evening, each from a different part:


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def outcomes(lines):
    return sorted({json.loads(line)["outcome"] for line in lines if "request_done" in line})


fresh, old, nothing = (sum(counts) for counts in counted(everything)[1].values())
verdicts = [one.value for one in everything.timeline.marks("verdict")]
print(f"{fresh} fresh answers, {old} old ones, {nothing} without an answer")
print(f"the log: {len(shop.lines)} lines, outcomes: {', '.join(outcomes(shop.lines))}")
print(f"not ready, seen each second: {verdicts.count('not ready')} times")
print(f"breaker at the end: {getattr(shop.breaker.state, 'value', shop.breaker.state)}")
print(f"given up: {len(everything.timeline.marks('hangs up'))} attempts")
print(f"the shutdown took {report.duration:.2f} s, {report.cancelled} visits were cancelled")

# %% [markdown]
# **You are on call, and see only the log's success rate. Does it tell you about the evening?** And if not, which number
# would?
#
# <details><summary>What I would say</summary>
#
# It doesn't. Each visit was answered, so every line says `ok`, and the service was ready all the time. The number that
# moved is the share of old answers: measure where answers come from, too.
# </details>

# %% [markdown]
# And the tenth answer, your `UserService`? It has put retry, bulkhead and breaker in order already. So it takes the
# place of everything that stood between a visit and the database. It has no old answers, so expect something else while
# the cable is out. **What will its users get, and how quickly?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class Tenth(Shop):
    """The shop around `UserService`. A second monitor hears only of visits that were tried, not of refused ones."""

    def __init__(self, part, fetch_one, layers, patience=1.0):
        super().__init__(part, fetch_one, layers, patience)
        limits = {"attempt_timeout": patience, "deadline": 3 * patience, "recovery_time": 5 * patience}
        fetch = partial(part["errors"].get_user, self.database)
        self.waits = []
        self.tried = part["health"].HealthMonitor(max_p99=3 * patience)
        self.users = part["service"].UserService(fetch, self.heard, max_attempts=2, max_concurrent=5, **limits)

    def heard(self, latency, well):
        self.waits += [] if well else [latency]

    async def answer(self, user):
        clock = asyncio.get_running_loop().time
        began = clock()
        status, _ = await self.users.handle(user)
        if status != 503:
            self.tried.record(clock() - began, status == 200)
        return "primary" if status == 200 else f"status {status}"

    def look(self):
        super().look()
        mark("verdict", "ready" if self.tried.ready() else "not ready", lane="tried visits")


# %%
tenth = storm(part, kind=Tenth, seconds=120)
show(
    storm_figure(tenth, "UserService alone: does it come back?", seconds=120),
    alt="Fresh answers until second 30, no answers while the cable is out, and fresh answers again a few seconds "
    "after 40 s, until the end.",
    fold="What happens",
)

# %% [markdown]
# <details><summary>What they got</summary>
#
# 172 users got no answer, and nearly all of them knew it at once: a refusal takes no time. They can do something else,
# and nothing piles up. The service comes back, too.
# </details>
#
# ### Which recording for which signal?
#
# But look at its readiness. The shop's monitor records every visit, as the exercise of notebook 09 asks: a refused
# visit is a failed one that took no time. The last refusal came soon after 42 s.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def verdicts_of(run, lane):
    """From when to when a monitor gave which verdict."""
    marks = [one for one in run.timeline.marks("verdict") if one.lane == lane]
    turns = [marks[0]] + [after for one, after in pairwise(marks) if one.value != after.value]
    ends = [one.at for one in turns[1:]] + [run.timeline.duration]
    return [Interval(lane, one.value, one.at, end) for one, end in zip(turns, ends, strict=True)]


def ready_again(run, lane="every visit"):
    """The last instant at which this monitor turned to ready."""
    return max(one.start for one in verdicts_of(run, lane) if one.tenant == "ready")


def readiness_figure(run):
    truth = [("answers", 0, 30), ("outage", 30, 40), ("answers", 40, 120)]
    return slots(
        [Interval("the database", *one) for one in truth]
        + verdicts_of(run, "every visit")
        + verdicts_of(run, "tried visits"),
        title="Two monitors of the same evening: when is the service ready?",
        order=["the database", "every visit", "tried visits"],
        tenants={"answers": "ok", "outage": "world", "ready": "ok", "not ready": "failed"},
        until=120,
    )


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The database is back at 40 s. From about when on does the monitor that records every visit say ready again?",
    {"40 s": 40, "45 s, after the breaker's next probe": 45, "70 s": 70, "100 s": 100},
    lambda: min((40, 45, 70, 100), key=lambda at: abs(at - ready_again(tenth))),
    why="Refusals cost nothing, so there are many: 172 of the 840 visits in the window, 20 %, where the monitor allows "
    "5 %. The window of 60 s keeps them until second 99, although every visit since second 43 was answered. A load "
    "balancer that reads this monitor keeps a recovered service out for a minute. It does the same to every other process "
    "that shares the database.",
)

# %% [markdown]
# A second monitor hears only of visits that the service tried to serve, and of no refusal. **When is this one ready?**

# %%
show(
    readiness_figure(tenth),
    alt="The database answers but for 30 to 40 s. The monitor of every visit says not ready from 32 s to 99 s. The "
    "monitor of tried visits says ready all the time.",
    fold="What happens",
)

# %% [markdown]
# <details><summary>So which recording is right?</summary>
#
# Each, for its own signal:
#
# | signal | record |
# |---|---|
# | what users get (success rate, error budget, alarm) | every visit; a refusal is a failure |
# | latency | only tried visits: refusals of 0 s make every percentile look better |
# | readiness (should a balancer send to *this* process?) | only tried visits: a refusal says that the database is ill, and the other processes refuse as well |
# | circuit breaker | only calls that reached the database, never its own refusals |
#
# The second monitor saw 10 failures among 430 visits, fewer than 5 %, and the process itself was well all the time.
# </details>
#
# ## Both evenings on the map
#
# The service with all parts comes back to where it started. **On its way, does it ask more than before, or less?**

# %% tags=["plumbing"] jupyter={"source_hidden": true}
fig, ax = phase_map("Two evenings: which one comes back?")
PATHS = {"timeout and retry alone": (two_parts, "#8C5A2B", "--"), "all parts": (everything, "#7B4FA3", "-")}
for label, (run, color, dashes) in PATHS.items():
    asked_then, ended = counted(run)
    pair = ([STANDS_FOR * one for one in counts[:90]] for counts in (asked_then, ended["primary"]))
    phase(ax, *pair, label, color=color, linestyle=dashes)
pointed(ax, "healthy: both begin here", (281, 281), (330, 305))
pointed(ax, "timeout and retry alone:\nhere forever", (558, 3), (480, 100))
pointed(ax, "all parts: asks less, returns", (38, 1), (85, 12))
show(
    fig,
    alt="With timeout and retry alone the path goes right and down, to 560 asked and 0 answered, and stays. With "
    "all parts it goes left and down to nearly nothing asked, and back up to 280 and 280.",
    fold="What happens",
)

# %% [markdown]
# **Which part did it?** Take the parts one by one. Before you open the figure, say which of the four services comes
# back.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def alone():
    rows = {"timeout and retry, nothing more": two_parts}
    for layer in ("old answers", "bulkhead", "breaker"):
        rows[f"timeout and retry, {layer}"] = storm(part, layers=(layer,))
    counts = {name: counted(run) for name, run in rows.items()}
    shown = {name: (asked_then[:90], ended["primary"][:90], 3) for name, (asked_then, ended) in counts.items()}
    return small_multiples("Timeout and retry plus one part: when do fresh answers come back?", shown, STANDS_FOR)


show(
    alone(),
    alt="With the bulkhead alone and with the breaker alone, fresh answers return within some seconds after 40 s. "
    "With old answers alone, or nothing more, they never return, and 560 are asked.",
    fold="What happens",
)

# %% [markdown]
# <details><summary>Which part did it</summary>
#
# The breaker and the bulkhead each cure it alone: both *ask less when it goes badly*, and that takes the sustaining
# effect away. Old answers alone make it worse than it was: users see no error, the database stays dead, and nobody
# knows. Retry and timeout, the two that everybody writes first, keep it dead.
# </details>
#
# ## On the real clock
#
# Is the virtual clock hiding something? Here is the same service with the same cable, in three real seconds. Users wait
# for a tenth of a second, 60 visits come each second, and the cable is out for half a second.

# %%
world, happens = evening(part, seconds=3, rate=60, capacity=66, outage=(0.5, 1.0), patience=0.1, people=20)
real = await live(happens(), world=world)
ends = [over.value for over in real.timeline.marks("visit over")]
print(f"{ends.count('primary')} fresh answers, {ends.count('cache')} old ones, of {len(ends)}; the last: {ends[-1]}")

# %% [markdown] lecture="Key Takeaways"
# ## The five takeaways
#
# This is what the lecture wants you to keep, each point with what this course adds, and with questions. Answer first.
# The right answers are written down nowhere: each is computed when its cell runs.

# %% [markdown] lecture="Always handle errors explicitly"
# ### 1. Always handle errors explicitly
#
# *No unwrap() in production*, says the lecture. In Python no exception is ignored by accident, so our version is: **an
# error's type is a decision.** Is it retried, does the breaker count it, is anybody paged? Translate errors at the
# boundary, keep the cause, and let bugs and cancellations pass.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def caught_by_exception():
    kinds = (TimeoutError, asyncio.CancelledError, ExceptionGroup, KeyboardInterrupt)
    return ", ".join(kind.__name__ for kind in kinds if issubclass(kind, Exception))


def handlers_work(text):
    """Each kind of failure must reach its own handler."""
    for kind in ("TimeoutError", "ConnectionError", "OSError"):
        place = {}
        lines = "\n".join(f"{line} reached = '{line.split()[1][:-1]}'" for line in text.split("\n"))
        exec(f"try:\n    raise {kind}\n{lines}", place)
        if place["reached"] != kind:
            return f"a {kind} ends up in the handler of {place['reached']}"
    return ""


def still_running(together):
    """Whether a sibling keeps running after the first failure."""

    async def fails():
        await asyncio.sleep(1)
        raise ValueError

    async def sibling():
        await asyncio.sleep(2)
        mark("still there")

    run = simulate(partial(together, fails, sibling))
    return bool(run.timeline.marks("still there"))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def two_with_gather(*works):
    with contextlib.suppress(ValueError):
        await asyncio.gather(*(work() for work in works))
    await asyncio.sleep(5)


async def two_with_a_group(*works):
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work())
    await asyncio.sleep(5)


def siblings():
    ways = {"gather": two_with_gather, "TaskGroup": two_with_a_group}
    return ", ".join(name for name, way in ways.items() if still_running(way)) or "neither"


def crawled(ids=100):
    """Calls of the database when a missing row is raised as an error that is retried."""
    world = World()
    rows = world.service("database", then=error("ConnectionError", "no row"))

    async def crawl():
        for number in range(ids):
            with contextlib.suppress(ConnectionError):
                await retry(partial(rows, number))

    return len(simulate(crawl, world=world).timeline.calls("database"))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Which of these does `except Exception` catch: TimeoutError, CancelledError, ExceptionGroup, KeyboardInterrupt?",
    ["all four", "TimeoutError", "TimeoutError, ExceptionGroup", "TimeoutError, CancelledError, ExceptionGroup"],
    caught_by_exception,
    why="A cancellation isn't a failure but an order from outside, so it is a `BaseException`, and so is Ctrl-C.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
arrange(
    "Three handlers of one `try`. In which order does each failure reach its own handler?",
    ["except TimeoutError:", "except ConnectionError:", "except OSError:"],
    handlers_work,
    why="`TimeoutError` and `ConnectionError` are kinds of `OSError`. The first handler that fits wins, so the general "
    "one comes last.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "One of two tasks fails after a second. With which of these does the other one keep running?",
    ["gather", "TaskGroup", "gather, TaskGroup", "neither"],
    siblings,
    why="`gather` raises and cancels nothing: the other task keeps running, and nothing awaits it. A `TaskGroup` cancels "
    "it and waits for it.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "A crawler asks for 100 ids that don't exist. The repository reports 'no row' as a ConnectionError, and the worked "
    "`retry` with its defaults wraps it. How often is the database asked?",
    crawled,
    unit="calls",
    why="Four times each. And a breaker would open after the first five attempts. A missing row is an answer, not a "
    "failure.",
)

# %% [markdown] lecture="Retry with exponential backoff"
# ### 2. Retry with exponential backoff
#
# *But add jitter.* True, for the crowd that comes at the same moment. This notebook's first half adds: **and a
# budget**, because jitter makes no crowd smaller. Retry at one layer only, retry only what may be repeated, and not
# forever.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def old_retry(op, max_retries=3, base=0.1):
    """The lecture's retry: no cap, no jitter."""
    for number in count():
        try:
            return await op()
        except ConnectionError:
            if number == max_retries:
                raise
            await asyncio.sleep(base * 2**number)


def clicked(layers=3):
    """The calls and the seconds of one click on a dead service, through layers that each have the lecture's retry."""
    world = World()
    call = world.service("dead", then=error("ConnectionError"))
    for _ in range(layers):
        call = partial(old_retry, call)
    timeline = simulate(call, world=world, catch=True).timeline
    return len(timeline.calls("dead")), timeline.duration


def saturated(rate=10_100, capacity=10_000, attempts=10, seconds=3000):
    """The load in the end when each failed call is tried again a second later."""
    trying = [rate] + [0.0] * (attempts - 1)
    for _ in range(seconds):
        failing = max(0.0, 1 - capacity / sum(trying))
        trying = [rate, *(number * failing for number in trying[:-1])]
    return sum(trying)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Three layers call each other, each with `max_retries=3`. The database at the bottom is dead. How many calls "
    "reach it from one click?",
    [9, 12, 27, 64],
    lambda: clicked()[0],
    why="Three retries are four tries, and the layers multiply: 4 × 4 × 4 ('Site Reliability Engineering', chapter "
    "22).",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "One layer, base 0.1 s, no cap, no jitter, three retries. How long are its pauses together?",
    lambda: clicked(layers=1)[1],
    unit="s",
    why="0.1 + 0.2 + 0.4, for four calls. With twenty retries it would be 29 hours: that is what a cap is for.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "A service can do 10,000 calls a second and is offered 10,100: 1 % too much. Each failed call is tried again, up to "
    "ten attempts in all. What is the service offered in the end?",
    {"1 % more": 1.01, "10 % more": 1.1, "2.7 times as much": 2.7, "more and more, without end": 0},
    lambda: round(saturated() / 10_000, 1),
    why="In the end 27,000 calls a second. The same example is in 'Site Reliability Engineering', chapter 22. "
    "Retries turn a small overload into a big one.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "`min(cap, base * 2**n + uniform(0, 1))` with base 0.1 s and cap 2 s: how many different pauses do a thousand "
    "clients draw before their seventh attempt?",
    [1, 500, 1000],
    lambda: len({min(2, 0.1 * 2**6 + random.uniform(0, 1)) for _ in range(1000)}),
    why="0.1 × 64 is above the cap whatever is drawn, so each client waits exactly 2 s: the cap cuts the jitter off "
    "where it matters most. Apply the cap first, then draw.",
)

# %% [markdown] lecture="Circuit breakers prevent cascades"
# ### 3. Circuit breakers prevent cascades
#
# *Fail fast when service is down.* And, as you saw, leave it alone, so that it can come back. **A breaker is as good as
# its half-open state.** And it must count the failures that matter: consecutive ones or those in a window, and never
# those of a whole month.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def calls_until_open(error_rate=0.01, threshold=5, runs=300):
    """The mean number of calls, for a breaker that counts failures and never forgets one."""
    draw, total = random.Random(3), 0
    for _ in range(runs):
        failures = 0
        while failures < threshold:
            total += 1
            failures += draw.random() < error_rate
    return total / runs


def knocking(callers=25, cancel_probe=False):
    """How many calls get through when a breaker may try again, and its state afterwards."""
    world = World()
    sick = world.service("sick", [error("ConnectionError")] * 5, latency=0.2)

    async def scene():
        breaker = CircuitBreaker(failure_threshold=5, recovery_time=30)
        await asyncio.gather(*(breaker.call(sick) for _ in range(5)), return_exceptions=True)
        await asyncio.sleep(30.1)
        tasks = [asyncio.create_task(breaker.call(sick)) for _ in range(callers)]
        await asyncio.sleep(0.1)
        if cancel_probe:
            tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return getattr(breaker.state, "value", breaker.state)

    run = simulate(scene, world=world)
    return len(run.timeline.calls("sick")) - 5, run.value


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def attempts_until_open(retry_outside):
    """How many attempts a dead service sees until the breaker opens."""
    world = World()
    dead = world.service("dead", then=error("ConnectionError"))

    async def scene():
        breaker = CircuitBreaker(failure_threshold=5)
        call = partial(breaker.call, dead) if retry_outside else partial(breaker.call, partial(retry, dead))
        while breaker.state == "closed":
            with contextlib.suppress(ConnectionError, CircuitOpenError):
                await (retry(call) if retry_outside else call())

    return len(simulate(scene, world=world).timeline.calls("dead"))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "A breaker counts all failures since the start, and opens at five. One call in a hundred fails, evenly spread. "
    "After how many calls does it open, on average?",
    calls_until_open,
    unit="calls",
    tolerance=0.15,
    why="5 / 0.01, about 500: a healthy service, shut off every few seconds. Five consecutive failures would take "
    "10,000,000,000 calls.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The recovery time is over, and 25 callers knock at the same moment. How many does the worked breaker let through?",
    [0, 1, 5, 25],
    lambda: knocking()[0],
    why="One, the probe. Four breakers for asyncio from the package index let every caller through (tried in notebook "
    "03, with 25 as well).",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The probe is cancelled by its caller before there is an answer. What is the breaker then?",
    {"closed": "closed", "open": "open", "half-open": "half_open"},
    lambda: knocking(callers=1, cancel_probe=True)[1],
    why="The breaker counts a cancellation neither as success nor as failure. The slot is free again, and the next "
    "caller is the next probe.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Threshold 5, four attempts, a dead service. How many attempts does it see until the breaker opens: with the "
    "retry outside the breaker, and inside?",
    {"5 and 5": (5, 5), "5 and 20": (5, 20), "20 and 5": (20, 5), "20 and 20": (20, 20)},
    lambda: (attempts_until_open(True), attempts_until_open(False)),
    why="With the retry inside, four attempts count as one failure, so the breaker opens only after four times as many "
    "attempts.",
)

# %% [markdown] lecture="Timeouts are mandatory"
# ### 4. Timeouts are mandatory
#
# *Never wait forever.* And know what really waits: **a timeout asks the work to stop, and waits until it has.** Put one
# around each attempt and one around everything, and bound the cleanup too.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def slow_cleanup():
    async def work():
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(3)

    async def bounded():
        async with asyncio.timeout(1):
            await work()

    return simulate(bounded, catch=True).timeline.duration


def deaf():
    async def work():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "an answer"

    async def bounded():
        async with asyncio.timeout(1):
            return await work()

    return type(simulate(bounded, catch=True).error).__name__


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def hangs():
    world = World()
    silent = world.service("silent", then=hang())

    async def attempt():
        try:
            async with asyncio.timeout(5):
                return await silent()
        except TimeoutError:
            raise ConnectionError from None

    return simulate(partial(old_retry, attempt), world=world, catch=True).timeline.duration


def admitted(deadline, threads=100, rate=100, hanging=0.05, seconds=600):
    """The share of requests that find a thread while some hang until the deadline, in percent, from second 200 on."""
    draw, busy, got, came = random.Random(5), [], 0, 0
    for number in range(rate * seconds):
        now = number / rate
        while busy and busy[0] <= now:
            heapq.heappop(busy)
        free = len(busy) < threads
        if free:
            heapq.heappush(busy, now + (deadline if draw.random() < hanging else 0.1))
        if now >= 200:
            came, got = came + 1, got + free
    return 100 * got / came


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "`async with asyncio.timeout(1)` wraps work whose `finally` takes 3 s. After how many seconds does it end?",
    slow_cleanup,
    unit="s",
    why="At 1 s the work is told to stop, and then it takes its 3 s. The timeout waits for it.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The work catches its `CancelledError` and returns an answer instead. What comes out of `asyncio.timeout(1)` "
    "around it?",
    {"a TimeoutError": "TimeoutError", "a CancelledError": "CancelledError", "the answer": "NoneType"},
    deaf,
    why="A timeout is a cancellation, and it comes once. If the work swallows it, the timeout has nothing to turn into "
    "a `TimeoutError`, however long the work continues.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "The lecture's retry (three retries, pauses of 0.1, 0.2, 0.4 s) around attempts of at most 5 s. The service "
    "hangs. How long does the caller wait?",
    hangs,
    unit="s",
    why="4 × 5 + 0.7. A timeout for each attempt doesn't bound the caller's wait: that takes a deadline around "
    "everything.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "100 threads, 100 requests a second of 0.1 s each. One request in twenty hangs, and is given up after 100 s. What "
    "share of the requests finds a thread, in percent?",
    lambda: admitted(100),
    unit="%",
    tolerance=0.15,
    why="About a fifth: 100 threads / (100 × (0.05 × 100 s + 0.95 × 0.1 s)). With a deadline of 10 s all of them find "
    "one. (The example, ten times as large, is from 'Site Reliability Engineering', chapter 22: bimodal latency.)",
)

# %% [markdown] lecture="Monitor everything"
# ### 5. Monitor everything
#
# *Metrics drive reliability.* Measure the present, the tail, and what users got: **every average over everything hides
# an outage.** Keep two questions apart: whether to restart (liveness), and whether to send traffic (readiness).


# %% tags=["plumbing"] jupyter={"source_hidden": true}
LATENCIES = [0.01] * 990 + [60.0] * 10


def blind(good=1_000_000):
    """Consecutive failures until a lifetime success rate is no more than 95 %."""
    failures = 0
    while 20 * good > 19 * (good + failures):
        failures += 1
    return failures


def slow_pages(leaves=100, slow=0.01, pages=20_000):
    draw = random.Random(11)
    return 100 * sum(any(draw.random() < slow for _ in range(leaves)) for _ in range(pages)) / pages


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "99 % of the requests take 10 ms, 1 % take a minute. What is the mean, in ms?",
    lambda: 1000 * sum(LATENCIES) / len(LATENCIES),
    unit="ms",
    why="A health check on the mean, with a limit of a second, calls this healthy. The 99.5th percentile is 60 s.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "A million requests went well since the start. Now every single one fails. How many thousand failures does it "
    "take until the success rate since the start is no more than 95 %?",
    lambda: blind() / 1000,
    unit="thousand",
    why="At 100 requests a second: 8.8 minutes of total outage, unseen.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "A page asks 100 servers and waits for the slowest. Each of them is slow once in a hundred times. What share of "
    "the pages is slow, in percent?",
    slow_pages,
    unit="%",
    tolerance=0.06,
    why="1 - 0.99^100 = 63 % (Dean and Barroso, 'The Tail at Scale', 2013). The tail of the parts is the middle of "
    "the whole.",
)

# %% [markdown] lecture="Next Steps"
# ## Next steps
#
# You have now seen what a service does while it waits, what fails, and what keeps it down; and you have written the
# parts that keep it up. Three things to do with them:
#
# 1. **Break a service of your own.** Take one that you know, pull its cable for ten seconds (a firewall rule will do,
#    or [Toxiproxy](https://github.com/Shopify/toxiproxy)), and watch what happens *after* the ten seconds.
# 2. **Look for the second attempt.** Clients, libraries, proxies, load balancers, users with a reload button: find all
#    that retry on the way of one request, and multiply their attempts.
# 3. **Write down how full is full.** Which rate can your service stand when every user asks twice? Below that rate it
#    comes back by itself.
#
# The lecture's next module builds a **key-value store**, which has to keep its promises through all of this, down to
# the disk.

# %% [markdown] lecture="Resources"
# ## Resources
#
# The lecture names three:
#
# * [Tokio's topics](https://tokio.rs/tokio/topics): how the lecture's runtime is used in production, shutdown included.
# * [AWS Well-Architected Framework](https://aws.amazon.com/architecture/well-architected/): its reliability pillar asks
#   these questions of a whole system.
# * [Michael Nygard, "Release It!"](https://pragprog.com/titles/mnee2/release-it-second-edition/): the book that named
#   breaker and bulkhead, with stories of real outages.
#
# This course has also drawn from these:
#
# * Bronson and others, ["Metastable Failures in Distributed
#   Systems"](https://sigops.org/s/conferences/hotos/2021/papers/hotos21-s11-bronson.pdf), HotOS 2021: six pages, the
#   source of this notebook's storm.
# * ["Site Reliability Engineering"](https://sre.google/sre-book/table-of-contents/), chapters 21 and 22: overload and
#   cascades, with the arithmetic.
# * [The Amazon Builders' Library](https://aws.amazon.com/builders-library/): timeouts, retries, jitter, fallbacks, each
#   by an engineer who was there.
# * Dean and Barroso, ["The Tail at Scale"](https://research.google/pubs/the-tail-at-scale/): why the slowest one
#   percent concerns every user.
# * [Marc Brooker's blog](https://brooker.co.za/blog/): small simulations with honest axes; token buckets, and what
#   backoff is for.
# * [stamina's Motivation](https://stamina.hynek.me/en/stable/motivation.html): one page on retries in Python, the why
#   before the how.
