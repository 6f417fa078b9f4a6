# %% [markdown] lecture="Bulkhead Pattern"
# # Bulkhead
#
# **How do I contain a slow neighbour?** Two kinds of work share one pool. One of them becomes slow, and suddenly both
# are. About 25 minutes of reading and trying, and 60 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import heapq
from itertools import accumulate

import anyio
from aiolimiter import AsyncLimiter

from autograder import check
from faultlab import World, axes, error, live, mark, ok, show, simulate
from faultlab.explore import explore
from faultlab.notebook import start
from faultlab.raster import Interval, in_flight, occupancy, slots
from faultlab.warmup import estimate, mended, predict

start()

# %%
import asyncio

# %% [markdown]
# ## An incident: the page that nobody gets
#
# A shop has one database and twenty connections to it. Two kinds of requests use them:
#
# | | how often | holds a connection for |
# |---|---|---|
# | product page | 100 times a second | 50 milliseconds |
# | sales report | 10 times a second | 30 seconds, since this morning |
#
# Who gets no connection within a second gives up. In code a connection is a **permit**: taken before the query,
# given back after it, however it ends. `asyncio.Semaphore(20)` is a box with twenty of them.


# %%
async def with_connection(connections, query):
    async with asyncio.timeout(1):
        await connections.acquire()
    try:
        return await query()
    finally:
        connections.release()


# %% [markdown]
# And the requests: one kind comes `every` so many seconds, and we want to know which share of it is served.


# %%
async def served(kind, every, seconds, connections, query):
    answered = 0

    async def request():
        nonlocal answered
        await with_connection(connections, query)
        answered += 1

    tasks = []
    for number in range(1, round(seconds / every) + 1):
        tasks.append(asyncio.create_task(request(), name=f"{kind} {number}"))
        await asyncio.sleep(every)
    await asyncio.gather(*tasks, return_exceptions=True)
    return answered / len(tasks)


# %%
def shop(seconds, split=False):
    world = World()
    page = world.service("page", latency=0.05)
    report = world.service("report", latency=30)

    async def open_doors():
        for_pages = for_reports = asyncio.Semaphore(20)
        if split:
            for_pages, for_reports = asyncio.Semaphore(10), asyncio.Semaphore(10)
        return await asyncio.gather(
            served("page", 0.01, seconds, for_pages, page),
            served("report", 0.1, seconds, for_reports, report),
        )

    return simulate(open_doors, world=world)


# %% [markdown]
# The pages keep 100 × 0.05 = 5 connections busy. There are twenty. **How many of the pages are served?** (The run
# covers half a minute of the shop's life; the clock is virtual, so it takes about a second.)

# %%
pages_served, reports_served = shop(30).value

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "Which share of the product pages is served, in percent?",
    lambda: round(100 * pages_served),
    unit="%",
    tolerance=0.5,
    why="Nothing is wrong with the pages, nor with the database. They share a pool with somebody slow.",
)

# %% [markdown]
# Here are the first four seconds: a row is a connection, a bar is who holds it. **Where do the pages go?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def kind_of(call):
    return call.service


def line_length(timeline):
    """How many wait for a permit: as many as have a `timeout` running."""
    waits = [wait for wait in timeline.pauses("timeout") if wait.end != wait.start]
    changes = sorted([(wait.start, 1) for wait in waits] + [(wait.end, -1) for wait in waits if wait.end is not None])
    return list(zip([at for at, _ in changes], accumulate(change for _, change in changes), strict=True))


# %%
shared = shop(4).timeline
show(
    slots(
        occupancy(shared, tenant=kind_of),
        title="One pool of 20, shared",
        until=4,
        tenants={"page": "tone0", "report": "tone1"},
        steps={"waiting": line_length(shared)},
    ),
    fold="What happens",
)

# %% [markdown]
# Each report takes a connection and keeps it. After two and a half seconds the reports have all twenty. From then on
# the pages stand in line for a second and leave, a hundred of them at any time. The pages did nothing wrong, and they
# wait in the queue of somebody else's trouble.
#
# ## The pattern
#
# A ship's hull is divided by walls, **bulkheads**: a leak fills one compartment, and the ship stays afloat. For us:
# **give each kind of work permits of its own, so that the slow kind can only fill its own.** The same twenty
# connections, ten for each:

# %%
after = shop(4, split=True).timeline


def own_slots(timeline, service):
    return [one._replace(slot=f"{service}s {one.slot}") for one in occupancy(timeline, service, tenant=kind_of)]


show(
    slots(
        own_slots(after, "page") + own_slots(after, "report"),
        title="Two pools of 10",
        until=4,
        order=[f"pages slot {number}" for number in range(1, 11)],
        tenants={"page": "tone0", "report": "tone1"},
        steps={"waiting": line_length(after)},
    ),
    fold="What happens",
)

# %% [markdown]
# What did it cost the reports?

# %%
pages_split, reports_split = shop(30, split=True).value
print(f"one pool of 20:  pages {pages_served:4.0%}, reports {reports_served:.0%}")
print(f"two pools of 10: pages {pages_split:4.0%}, reports {reports_split:.0%}")

# %% [markdown]
# From 9 % to 100 %, with the same connections. Of the pages' ten only five are ever used. The reports lose a little:
# they were lost anyway, as 10 reports a second of 30 seconds each would need 300 connections.
#
# That multiplication is **Little's law**: on average, *in progress = arrivals per second × seconds each stays*. It
# holds for permits, for queues and for supermarkets, and it tells how many permits a kind of work needs.

# %% [markdown]
# ## The lecture's listing
#
# A semaphore in a class, and one object for each service. (Rust gives a permit back when it goes out of scope;
# Python's `async with` does the same.)


# %% lecture="Bulkhead"
class LectureBulkhead:
    def __init__(self, max_concurrent):
        self.semaphore = asyncio.Semaphore(max_concurrent)

    async def execute(self, operation):
        async with self.semaphore:
            return await operation()


# %% lecture="example_bulkheads"
async def lecture_example_bulkheads(query_database, call_external_api):
    database_bulkhead = LectureBulkhead(20)
    api_bulkhead = LectureBulkhead(10)
    # Database calls limited to 20 concurrent
    await database_bulkhead.execute(lambda: query_database())
    # API calls limited to 10 concurrent
    await api_bulkhead.execute(lambda: call_external_api())


# %% [markdown]
# It does what it was made for: sixty calls arrive together, and the database never has more than twenty.


# %%
def sixty_calls():
    world = World()
    database = world.service("database", latency=0.05)

    async def together():
        bulkhead = LectureBulkhead(20)
        await asyncio.gather(*(bulkhead.execute(database) for _ in range(60)))

    return simulate(together, world=world).timeline


print(f"at once, at most: {max(number for _, number in in_flight(sixty_calls())):.0f}")

# %% [markdown]
# The lecture's usage, `lecture_example_bulkheads` above, creates the two bulkheads and makes a call through each. Now a
# hundred requests run that function side by side.


# %%
def hundred_requests():
    world = World()
    database = world.service("database", latency=0.05)
    api = world.service("api", latency=0.05)

    async def together():
        await asyncio.gather(*(lecture_example_bulkheads(database, api) for _ in range(100)))

    timeline = simulate(together, world=world).timeline
    return round(max(number for _, number in in_flight(timeline, "database")))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "A hundred requests run `lecture_example_bulkheads` at once. How many calls does the database see at once?",
    [1, 10, 20, 100],
    hundred_requests,
    why="Each request builds two bulkheads of its own, with 20 permits that it shares with nobody. A bulkhead limits "
    "only those who share it: make it once, at start-up.",
)

# %% [markdown]
# ## One thing changes: the database becomes slow
#
# So the bulkhead is made once and shared. It has 20 permits, 100 requests come each second, and a query takes 50 ms:
# five in progress. Then, one day, a query takes **two seconds**.


# %%
def slow_day(seconds=30, permits=20, takes=2.0, rate=100):
    """Everybody waits as long as it takes; a mark for each arrival."""
    world = World()
    database = world.service("database", latency=takes)

    async def request(bulkhead):
        mark("arrives")
        await bulkhead.execute(database)

    async def day():
        bulkhead = LectureBulkhead(permits)
        async with asyncio.TaskGroup() as group:
            for number in range(1, seconds * rate + 1):
                group.create_task(request(bulkhead), name=f"request {number}")
                await asyncio.sleep(1 / rate)

    return simulate(day, world=world).timeline


slow = slow_day()
arrivals = {arrival.lane: arrival.at for arrival in slow.marks("arrives")}
starts = {call.lane: call.start for call in slow.calls()}

# %% [markdown]
# ### Warm-up 1: predict the waiters


# %%
def waiting_at(second):
    return sum(at <= second for at in arrivals.values()) - sum(at <= second for at in starts.values())


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "After 30 seconds, about how many requests wait in the bulkhead's queue?",
    {"20": 20, "80": 80, "300": 300, "2,700": 2700},
    lambda: round(waiting_at(29.995), -2),
    why="Little's law backwards: 20 permits / 2 s let 10 requests a second through, and 100 a second come. The other "
    "90 stay, every second.",
)
estimate(
    "How long does the last of them wait, in seconds?",
    lambda: max(starts[name] - arrivals[name] for name in arrivals),
    unit="s",
    tolerance=0.08,
    why="2,700 before it, 10 served each second. Its user left four minutes ago; the query runs nevertheless.",
)

# %%
fig, ax = axes("The lecture's bulkhead, 20 permits, 100 requests a second of 2 s each", "seconds", "waiting")
ax.plot(range(0, 301, 5), [waiting_at(second) for second in range(0, 301, 5)])
ax.axvspan(0, 30, color="#E69F00", alpha=0.15, linewidth=0)
ax.annotate("requests come for 30 s", (38, 2650), fontsize=9)
ax.annotate("nobody comes any more,\nand the queue is worked off", (165, 1900), fontsize=9)
show(fig, fold="What happens", alt="Waiting requests: up to 2,700 in 30 s, and down to 0 only after 300 s.")

# %% [markdown]
# The wall holds: the database never sees more than twenty. But the water rises inside. Memory grows, every answer
# comes too late to be of use, and half a minute of trouble costs five minutes.
#
# A queue smooths a short burst. It can't make a service faster. So two things must be bounded: **how many may wait**,
# and **for how long**. Whoever doesn't fit hears so at once, while it can still do something else: show yesterday's
# numbers, or tell the user.

# %% [markdown]
# ## Your shop: split, queue, patience
#
# A smaller shop for experiments: 8 connections; 30 pages a second of 50 ms, and two reports a second of 8 s. To make
# it quick this one only calculates, without asyncio: each request looks when a permit will be free, and whether it
# fits. With 0 permits of their own the pages share all eight with the reports.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def calculated(requests, permits, queue, wait, name=""):
    """First come, first served. Requests are (arrival, kind, duration); returns who held which slot, the waits as
    (from, to), and how many of each kind were served."""
    free = [(0.0, number) for number in range(1, permits + 1)]
    held, waits, happy = [], [], dict.fromkeys((kind for _, kind, _ in requests), 0)
    for at, kind, takes in requests:
        begin = max(at, free[0][0])
        if begin > at:
            if sum(end > at for _, end in waits[-queue:] if queue) >= queue:
                continue
            waits.append((at, min(begin, at + wait)))
            if begin > at + wait:
                continue
        _, number = heapq.heapreplace(free, (begin + takes, free[0][1]))
        held.append(Interval(f"{name}{number}", kind, begin, begin + takes))
        happy[kind] += 1
    return held, waits, happy


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def small_shop(own=0, queue=30, wait=1.0):
    pages = [(0.003 + number / 30, "page", 0.05) for number in range(240)]
    reports = [(0.1 + number / 2, "report", 8.0) for number in range(16)]
    if own == 0:
        found = [calculated(sorted(pages + reports), 8, queue, wait, "shared ")]
    else:
        found = [calculated(pages, own, queue, wait, "pages "), calculated(reports, 8 - own, queue, wait, "reports ")]
    happy = {kind: number for _, _, served_now in found for kind, number in served_now.items()}
    words = f"pages served {happy['page'] / 240:.0%}, reports {happy['report'] / 16:.0%}"
    ends = sorted(change for _, waits, _ in found for a, b in waits for change in ((a, 1), (b, -1)))
    line = [(0.0, 0.0), *zip([at for at, _ in ends], accumulate(change for _, change in ends), strict=True)]
    return slots(
        [one for held, _, _ in found for one in held],
        title=words,
        alt=words,
        until=8,
        tenants={"page": "tone0", "report": "tone1"},
        steps={"waiting": line},
    )


# %% [markdown]
# Before you touch anything: **what is the smallest number of permits of their own that gives the pages 100 %?**
# Little's law has an opinion. Then set the split back to 0 and try to save the pages with `queue` and `patience`
# alone.

# %%
explore(
    small_shop,
    alt="Eight connections as lanes, filled by pages and reports, and below how many wait.",
    labels={"own": "permits for pages", "queue": "places in the queue", "wait": "patience, s"},
    own=(0, 7),
    queue=(0, 60, 5),
    wait=(0.1, 3.0, 0.1),
    height=330,
)

# %% [markdown]
# <details><summary>What is to be found</summary>
#
# 30 × 0.05 = 1.5, so 2 permits are enough, and with them the pages don't even need a queue. Without a split no
# setting serves more than four pages in five, not even one where reports lose patience before the pages do. A bound
# protects those who wait; only a wall protects the neighbour.
# </details>

# %% [markdown]
# ## asyncio you need
#
# **A semaphore hands out permits first come, first served.** Three tasks, one permit:


# %% cover="true"
def line_of(people, permits=1, gives_up=None):
    """`people` wait in line for a permit; one of them may be cancelled at 0.5 s."""
    world = World()
    desk = world.service("desk", latency=1.0)

    async def person(name, semaphore):
        mark("waits")
        if name == gives_up:
            asyncio.get_running_loop().call_later(0.5, asyncio.current_task().cancel)
        try:
            async with semaphore:
                await desk()
        except asyncio.CancelledError:
            mark("leaves")
            raise

    async def office():
        semaphore = asyncio.Semaphore(permits)
        await asyncio.wait([asyncio.create_task(person(name, semaphore), name=name) for name in people])

    return simulate(office, world=world).timeline


show(line_of(["ann", "ben", "cleo"]), order=["ann", "ben", "cleo"])

# %% [markdown]
# **A cancelled waiter leaves the queue.** `acquire()` is an `await` like any other: a cancellation lands there as
# `CancelledError`, the place in line is free, and no permit was taken. So none may be given back. Ben leaves at 0.5 s:
# **when is Cleo served?**

# %%
show(line_of(["ann", "ben", "cleo"], gives_up="ben"), order=["ann", "ben", "cleo"], fold="What happens")

# %% [markdown]
# **`asyncio.timeout` ends where its block ends**, and raises `TimeoutError`. Two places for one line, and two
# meanings: a limit for the wait, or for everything. The query takes 2 s, and the permit is free at once:


# %%
async def limits_the_wait(semaphore, query):
    async with asyncio.timeout(1):
        await semaphore.acquire()
    try:
        await query()
    finally:
        semaphore.release()


async def limits_everything(semaphore, query):
    async with asyncio.timeout(1):
        async with semaphore:
            await query()


# %%
def both_limits():
    world = World()
    query = world.service("query", latency=2.0)

    async def side_by_side():
        both = (limits_the_wait, limits_everything)
        tasks = [asyncio.create_task(each(asyncio.Semaphore(1), query), name=each.__name__) for each in both]
        await asyncio.gather(*tasks, return_exceptions=True)

    return simulate(side_by_side, world=world).timeline


show(both_limits(), order=["limits_the_wait", "limits_everything"], until=2.5)

# %% [markdown]
# ### Warm-up 2: mend a leaked permit
#
# This one works in every demonstration. After a bad afternoon the service hangs, with an idle database. Mend it,
# run it and the folded cell after it: that one says whether it is well.


# %%
async def leaky_call(permits, query):
    await permits.acquire()
    result = await query()
    permits.release()
    return result


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def afternoon():
    world = World()
    query = world.service("query", [error("ConnectionError"), ok(after=9)], latency=0.1)

    async def three_calls():
        permits = asyncio.Semaphore(2)
        await asyncio.gather(leaky_call(permits, query), return_exceptions=True)
        given_up = asyncio.create_task(leaky_call(permits, query))
        await asyncio.sleep(0.5)
        given_up.cancel()
        await asyncio.wait([given_up])
        async with asyncio.timeout(5):
            await asyncio.gather(*(leaky_call(permits, query) for _ in range(2)))

    run = simulate(three_calls, world=world, catch=True)
    if isinstance(run.error, TimeoutError):
        return "one call failed, one was cancelled, and after that the next ones wait for ever."
    busy = max(number for _, number in in_flight(run.timeline))
    return "" if run.error is None and busy == 2 else f"two permits, at most {busy:g} calls at once, {run.error!r}"


_ = mended(
    afternoon,
    well="Mended: the permit comes back on every way out.",
    hint="Three ways lead out of `await query()`: a result, an error, a cancellation. What covers all three?",
)

# %% [markdown]
# ## Exercise: a bulkhead with a bounded queue
#
# Write `Bulkhead(max_concurrent, *, max_queue=0, max_wait=None)` with `await bulkhead.run(op)`. This is its whole
# contract:
#
# * **Permits.** `run(op)` awaits `op()`, a fresh awaitable at each call, with a permit. At most `max_concurrent` run
#   at once; the others wait, first come, first served: nobody who comes later overtakes.
# * **Result.** What `op` returns comes back; what it raises comes out unchanged. A `TimeoutError` of `op` is its own.
# * **A full queue.** When no permit is free and `max_queue` callers already wait, `run` raises `BulkheadFull` at
#   once, and `op` isn't called. `max_queue=0`: nobody waits.
# * **Patience.** Whoever has waited `max_wait` seconds gets `BulkheadFull`; `None` means no limit. It covers the wait
#   alone: `op` may take as long as it likes.
# * **Every way out.** The permit comes back when `op` returns, fails, or is cancelled. A cancelled waiter leaves the
#   queue, and a cancellation always goes on.
# * **Numbers.** `active`: how many run now; `waiting`: how many wait.
# * **Instances** share nothing.
#
# **Promised**: `max_concurrent` is at least 1, `max_queue` at least 0, `max_wait` positive. Only what it does is
# looked at: a semaphore, a queue of futures or an installed library are all welcome.


# %% exercise="bulkhead"
class BulkheadFull(Exception):
    """There is no permit, and no place in the queue."""


class Bulkhead:
    """At most `max_concurrent` calls at once; at most `max_queue` more wait, each for at most `max_wait` seconds."""

    def __init__(self, max_concurrent: int, *, max_queue: int = 0, max_wait: float | None = None):
        self.active = 0
        self.waiting = 0
        ### BEGIN SOLUTION
        self._permits = asyncio.Semaphore(max_concurrent)
        self._max_queue = max_queue
        self._max_wait = max_wait
        ### END SOLUTION

    async def run(self, op):
        """Await `op()` with a permit, and return what it returns."""
        ### BEGIN SOLUTION
        if self._permits.locked() and self.waiting >= self._max_queue:
            raise BulkheadFull(f"{self.active} are running and {self.waiting} wait")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._max_wait):
                await self._permits.acquire()
        except TimeoutError:
            raise BulkheadFull(f"no permit within {self._max_wait} s") from None
        finally:
            self.waiting -= 1
        self.active += 1
        try:
            return await op()
        finally:
            self.active -= 1
            self._permits.release()
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: in which order</summary>
#
# Four steps: is there room at all? wait for a permit; run; give back. Write down for each what must be undone when it
# fails. The first one has no `await`, so nobody can slip in between the question and the answer.
# </details>
#
# <details><summary>Hint 2: two counters, two <code>try</code></summary>
#
# `waiting` goes up before the wait and down in the `finally` of the wait. `active` goes up when the permit is there,
# and down in the `finally` around `op`, together with the permit. One `try` can't do both: what wasn't taken mustn't
# be given back.
# </details>
#
# <details><summary>Hint 3: the lines, shuffled</summary>
#
# ```
# await self._permits.acquire()
# if self._permits.locked() and self.waiting >= self._max_queue:
# return await op()
# async with asyncio.timeout(self._max_wait):
# self.waiting += 1
# except TimeoutError:
# raise BulkheadFull("the queue is full")
# self.active += 1
# self._permits.release()
# finally:
# raise BulkheadFull("no permit in time") from None
# try:
# self.waiting -= 1
# try:
# finally:
# self.active -= 1
# ```
# </details>

# %% [markdown]
# ## On the real clock
#
# Nothing so far depended on the virtual clock. Nine real calls of 50 ms, three at a time, through the lecture's
# bulkhead: **how long will the cell take?**


# %%
async def nine_calls(query):
    bulkhead = LectureBulkhead(3)
    async with asyncio.TaskGroup() as group:
        for number in range(1, 10):
            group.create_task(bulkhead.execute(query), name=f"call {number}")


real_world = World()
real_run = await live(nine_calls(real_world.service("query", latency=0.05)), world=real_world)
show(slots(occupancy(real_run.timeline), title="Three permits, on the real clock"), fold="What happens")

# %% [markdown]
# ## Code review
#
# <details><summary>What else would you say about the lecture's listing?</summary>
#
# * **An error that can't happen.** `acquire` fails only when the semaphore was closed, and nobody closes it. So
#   "Failed to acquire permit" is never returned, and the service never sheds load.
# * **A result in a result.** `execute` returns `Result<T, String>`, and `T` is itself a result. The `.unwrap()` in the
#   example opens the outer one, the permit's; the inner one, the database's, is dropped without a look.
# * **One after the other.** The example awaits the database and then the API, so its concurrency is 1 all the time.
#   The limits of 20 and 10 are never met.
# * **No way to look inside.** How many run, how many wait, how many were turned away: these three numbers are what one
#   wants on a dashboard, as a full queue is the first sign of a slow neighbour.
# </details>

# %% [markdown]
# ## What practitioners use
#
# **`anyio.CapacityLimiter`** is a semaphore that knows who borrowed its permits. (It has neither a bounded queue nor
# a patience: `acquire_on_behalf_of_nowait` and `move_on_after` are the parts to build them from.) One caller may hold
# one permit only, so a nested call, with which a semaphore may wait for itself for ever, is an error here:


# %%
async def borrow_twice():
    limiter = anyio.CapacityLimiter(2)
    async with limiter:
        print("borrowed:", limiter.borrowed_tokens, "waiting:", limiter.statistics().tasks_waiting)
        try:
            async with limiter:
                pass
        except RuntimeError as problem:
            print("RuntimeError:", problem)


_ = simulate(borrow_twice())

# %% [markdown]
# **`asyncio.Semaphore` is fair.** The regular comes back the moment it is served, while two others wait. Does it get
# the permit that it has just given back?


# %%
async def regular_and_others():
    semaphore, order = asyncio.Semaphore(1), []

    async def visit(name, times=1):
        for _ in range(times):
            async with semaphore:
                order.append(name)
                await asyncio.sleep(1)

    await asyncio.gather(visit("regular", 3), visit("ann"), visit("ben"))
    return order


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "In which order are they served?",
    {
        "regular, regular, regular, ann, ben": ["regular"] * 3 + ["ann", "ben"],
        "regular, ann, ben, regular, regular": ["regular", "ann", "ben", "regular", "regular"],
        "regular, ann, regular, ben, regular": ["regular", "ann", "regular", "ben", "regular"],
    },
    lambda: simulate(regular_and_others()).value,
    why="While somebody waits, the semaphore counts as locked for all newcomers. Many home-made ones, with a "
    "`Condition` or a loop that asks again and again, let the regular overtake.",
)

# %% [markdown]
# **`aiolimiter` limits the rate, not the number in progress.** Eight a second sounds like a bound. Each report takes
# 30 s: how many are in progress after half a minute?


# %%
def rate_limited(seconds=29):
    world = World()
    report = world.service("report", latency=30)

    async def traffic():
        limiter = AsyncLimiter(8, 1)
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            while True:
                await limiter.acquire()
                group.create_task(report())

    return simulate(traffic, world=world, catch=True).timeline


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "Reports in progress after 29 s, with AsyncLimiter(8, 1)?",
    lambda: max(number for _, number in in_flight(rate_limited())),
    tolerance=0.1,
    why="Eight in a first burst, then one every 1/8 s, and none of them ends: Little's law again, 8 × 30. A rate "
    "protects a service that bills by the call; a bulkhead protects whoever waits.",
)

# %% [markdown]
# Defaults, from the libraries' own sources and documentation:
#
# | | at once | may wait |
# |---|---|---|
# | resilience4j (Java) | 25 | no time at all (`maxWaitDuration` 0) |
# | Polly (.NET) | 1,000 | nobody (queue 0) |
# | SQLAlchemy's pool of connections | 5, and 10 more at need | any number, for 30 s |
#
# The first two agree on the queue. A pool of connections is a bulkhead too, and the one you have already: look at its
# limits before you write another.

# %% [markdown]
# ## Questions
#
# <details><summary>Your pages need 100 × 0.05 = 5 permits on average. Why not give them exactly five?</summary>
#
# Five is the average. Arrivals come in bursts, and queries are sometimes slow: with five, every burst waits. Something
# like twice the average leaves room, and a short queue takes the rest.
# </details>
#
# <details><summary>Ten tenants, twenty permits. Two for each, or one pool?</summary>
#
# Walls cost utilisation: a tenant alone at night can use only two of twenty. Separate what fails in different ways
# (fast and slow, paid and free, this database and that API), not everything. A middle way is a small share for each
# and a common rest.
# </details>
#
# <details><summary><code>BulkheadFull</code> reaches your retry loop. Should it try again?</summary>
#
# It says that too much is under way already, and a retry adds to that. If at all, then late and rarely; better is
# another answer, from a cache or an honest 503 with `Retry-After`.
# </details>
#
# <details><summary>Where in the queue belongs a request whose user has left?</summary>
#
# Nowhere. Cancel it when the user goes, and the queue shortens by itself; that is why a cancelled waiter must leave.
# </details>

# %% [markdown]
# <details><summary>For Rust readers</summary>
#
# * `tokio::sync::Semaphore` is fair as well. `try_acquire` is the queue of length 0; `tokio::time::timeout(wait,
#   semaphore.acquire())` is the patience.
# * A `SemaphorePermit` gives itself back in `drop`, on errors, panics and cancellation (a dropped future). Python's
#   counterpart is `async with`, or `try` and `finally`; a bare `release()` at the end is the leaked permit of warm-up
#   2.
# * To move a permit into a spawned task take `acquire_owned` on an `Arc<Semaphore>`.
# * In a stack of services the pattern is tower's `ConcurrencyLimit`, with `LoadShed` before it for a queue of length
#   0.
# </details>
