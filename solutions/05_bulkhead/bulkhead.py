# %% [markdown] lecture="Bulkhead Pattern"
# # Bulkhead
#
# **How do I contain a slow neighbour?** Two kinds of work share one pool. One of them becomes slow, and suddenly both
# are. Reading and trying things out takes about 25 minutes, the exercise 60.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import heapq
from itertools import accumulate

import anyio
from aiolimiter import AsyncLimiter

from autograder import check
from faultlab import Timeline, World, axes, error, live, mark, ok, play, show, simulate, waiting
from faultlab.explore import explore
from faultlab.notebook import start
from faultlab.raster import Interval, in_flight, occupancy, slots
from faultlab.warmup import estimate, mended, predict

start()

# %%
import asyncio

# %% [markdown]
# ## An incident: the page that never comes
#
# A shop has one database and twenty connections to it. Two kinds of request use them:
#
# | request | how often | holds a connection for |
# |---|---|---|
# | product page | 100 times a second | 50 milliseconds |
# | sales report | 10 times a second | 30 seconds, since this morning |
#
# A request that gets no connection within a second gives up. In code, a connection is a **permit**: a request takes it
# before the query and gives it back afterwards, however the query ends. `asyncio.Semaphore(20)` is a box with twenty
# permits.


# %%
async def with_connection(connections, query):
    async with asyncio.timeout(1):
        await connections.acquire()
    try:
        return await query()
    finally:
        connections.release()


# %% [markdown]
# And here are the requests. One request of a `kind` arrives every `every` seconds, and the function returns the share
# that was served.


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
# On average the pages keep 100 × 0.05 = 5 connections busy, and there are twenty. **What share of the pages is
# served?** (The run covers half a minute in the shop. The clock is virtual, so you wait about a second.)

# %%
pages_served, reports_served = shop(30).value

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "What share of the product pages is served, in percent?",
    lambda: round(100 * pages_served),
    unit="%",
    tolerance=0.5,
    why="Nothing is wrong with the pages or with the database. The pages share a pool with slow reports.",
)

# %% [markdown]
# Here are the first four seconds. Above, each request is a dot. Below, each row is a connection, and each bar shows
# which kind of request holds it. **Where do the pages go?** Think first, then press *Play*.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def kind_of(call):
    return call.service


def line_length(timeline):
    """The number of requests that wait for a permit: those with a `timeout` running."""
    waits = [wait for wait in timeline.pauses("timeout") if wait.end != wait.start]
    changes = sorted([(wait.start, 1) for wait in waits] + [(wait.end, -1) for wait in waits if wait.end is not None])
    return list(zip([at for at, _ in changes], accumulate(change for _, change in changes), strict=True))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
shared = shop(4).timeline
connections = slots(
    occupancy(shared, tenant=kind_of),
    title="One pool of 20: who holds the connections?",
    until=4,
    tenants={"page": "tone0", "report": "tone1"},
    steps={"waiting": line_length(shared)},
    tops={"waiting": 150},
)
play(
    # without the two tasks that only send the requests in
    Timeline(tuple(event for event in shared if event.lane.startswith(("page ", "report ")))),
    view="flow",
    title="One pool of 20: who holds the connections?",
    alt="Pages and reports come to one pool of 20 connections; the reports fill it, and the pages wait.",
    still=connections,
    until=4,
    seconds=12,
    callers=lambda lane: f"{lane.split()[0]}s",
    servers=lambda call: "pool",
    slots=20,
    waits="timeout",
)

# %% [markdown]
# <details><summary>Where the pages went</summary>
#
# Each report takes a connection and keeps it. After two and a half seconds the reports hold all twenty. From then on
# each page waits for a second and gives up, so about a hundred pages are waiting at any time. The pages did nothing
# wrong: they wait in a queue that the reports have caused.
# </details>
#
# ## The pattern
#
# A ship's hull is divided by walls, **bulkheads**: a leak fills one compartment, and the ship stays afloat. For us this
# means: **give each kind of work its own permits, so that a slow kind can fill only its own pool.** Here are the same
# twenty connections, ten for each kind:

# %% tags=["plumbing"] jupyter={"source_hidden": true}
after = shop(4, split=True).timeline


def own_slots(timeline, service):
    return [one._replace(slot=f"{service}s {one.slot}") for one in occupancy(timeline, service, tenant=kind_of)]


show(
    slots(
        own_slots(after, "page") + own_slots(after, "report"),
        title="Two pools of 10: who holds the connections?",
        until=4,
        order=[f"pages slot {number}" for number in range(1, 11)],
        tenants={"page": "tone0", "report": "tone1"},
        steps={"waiting": line_length(after)},
        tops={"waiting": 150},
    ),
    fold="What happens",
)

# %% [markdown]
# What did it cost the reports?

# %%
pages_split, reports_split = shop(30, split=True).value

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    f"In one pool {reports_served:.0%} of the reports are served. What share is served from a pool of 10, in percent?",
    lambda: round(100 * reports_split),
    unit="%",
    tolerance=0.2,
    why="The reports lose a little, and most of them were lost anyway: 10 reports a second of 30 seconds each need 300 "
    "connections.",
)

# %% [markdown]
# <details><summary>What the wall is worth</summary>
#
# The pages went from 9 % to 100 % with the same connections, and they use only five of their ten. The reports went from
# 8 % to 6 %.
# </details>
#
# We counted connections with **Little's law**: on average, *in flight = arrivals per second × seconds each stays*. It
# holds for permits, for queues and for supermarkets. It tells you how many permits a kind of work needs.

# %% [markdown]
# ## The lecture's listing
#
# The lecture puts a semaphore into a class and makes one object for each service. (Rust gives a permit back when the
# permit goes out of scope. In Python, `async with` does this.)


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
# The listing does what it was made for. Sixty calls arrive together, and at most twenty are in flight to the database:


# %%
def sixty_calls():
    world = World()
    database = world.service("database", latency=0.05)

    async def together():
        bulkhead = LectureBulkhead(20)
        await asyncio.gather(*(bulkhead.execute(database) for _ in range(60)))

    return simulate(together, world=world).timeline


print(f"most calls in flight: {max(number for _, number in in_flight(sixty_calls())):.0f}")

# %% [markdown]
# The function `lecture_example_bulkheads` above creates two bulkheads and makes a call through each. Now a hundred
# requests run that function at the same time.


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
    "A hundred requests run `lecture_example_bulkheads` at once. How many calls to the database are in flight?",
    [1, 10, 20, 100],
    hundred_requests,
    why="Each request builds two bulkheads of its own and shares their permits with no other request. A bulkhead "
    "limits only the callers that share it: make it once, at start-up.",
)

# %% [markdown]
# ## One thing changes: the database becomes slow
#
# So make the bulkhead once and share it. It has 20 permits, 100 requests arrive each second, and a query takes 50 ms:
# five queries are in flight. Then, one day, a query takes **two seconds**.


# %%
def slow_day(seconds=30, permits=20, takes=2.0, rate=100):
    """Let requests wait for a permit without any limit, and mark each arrival."""
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
    why="Use Little's law backwards: 20 permits / 2 s let 10 requests a second through, and 100 arrive. Every second, "
    "90 more have to wait.",
)
estimate(
    "How long does the last request wait, in seconds?",
    lambda: max(starts[name] - arrivals[name] for name in arrivals),
    unit="s",
    tolerance=0.08,
    why="2,700 requests are ahead of it, and 10 are served each second. Its user left four minutes ago; the query runs "
    "nevertheless.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
fig, ax = axes("How long does the queue outlive half a minute of requests?", "seconds", "waiting requests")
ax.plot(range(0, 301, 5), [waiting_at(second) for second in range(0, 301, 5)])
ax.axvspan(0, 30, color="#999999", alpha=0.2, linewidth=0)
ax.annotate("requests arrive for 30 s", (38, 2650), fontsize=9)
ax.annotate("no request arrives any more,\nand the queue drains", (165, 1900), fontsize=9)
show(fig, fold="What happens", alt="Waiting requests: up to 2,700 in 30 s, and down to 0 only after 300 s.")

# %% [markdown]
# <details><summary>What the bulkhead couldn't do</summary>
#
# The wall holds: the database never has more than twenty queries in flight. But the water rises inside. Memory grows,
# and every answer comes too late to be of use. Half a minute of trouble costs five minutes.
# </details>
#
# A queue smooths a short burst. It can't make a service faster. So two things need a bound: **how many requests may
# wait**, and **for how long**. A request that doesn't fit is rejected at once. Then it can still do something else:
# show yesterday's numbers, or tell the user.

# %% [markdown]
# ## Your shop: split, queue, patience
#
# Here is a smaller shop for experiments, with 8 connections. Each second brings 30 pages of 50 ms and two reports of
# 8 s. To be quick, this shop only calculates, without asyncio: for each request it looks up when a permit will be free,
# and whether the request fits. With 0 permits of their own, the pages share all eight with the reports.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def calculated(requests, permits, queue, wait, name=""):
    """Serve requests, each (arrival, kind, duration), in the order in which they arrive.

    Returns which kind held which slot and when, the waits as (from, to), and how many of each kind were served."""
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
    line = [(0.0, 0)]
    line += zip([at for at, _ in ends], accumulate(change for _, change in ends), strict=True)
    return slots(
        [one for held, _, _ in found for one in held],
        title=words,
        alt=words,
        until=8,
        tenants={"page": "tone0", "report": "tone1"},
        steps={"waiting": line},
        tops={"waiting": 60},  # the most places in the queue
    )


# %% [markdown]
# Before you move a slider: **how many permits of their own do the pages need to reach 100 %?** Little's law has an
# opinion. Then set the permits back to 0, and try to save the pages with the queue and the patience alone.

# %%
explore(
    small_shop,
    alt="Eight connections as lanes, filled by pages and reports; below them, how many requests wait.",
    labels={"own": "permits for pages", "queue": "places in the queue", "wait": "patience, s"},
    own=(0, 7),
    queue=(0, 60, 5),
    wait=(0.1, 3.0, 0.1),
    height=330,
)

# %% [markdown]
# <details><summary>What you should find</summary>
#
# 30 × 0.05 = 1.5, so 2 permits are enough, and with them the pages don't even need a queue. Without a split, no setting
# serves more than about four pages in five. A bound protects the requests that wait; only a wall protects the
# neighbour.
# </details>

# %% [markdown]
# ## asyncio you need
#
# **A semaphore hands out permits first come, first served.** Here three tasks need the same permit, and each keeps it
# for a second. (`with waiting(...)` draws the thin bar of a wait, and does nothing else.)


# %% cover="true"
def line_of(people, permits=1, gives_up=None):
    """Let `people` queue for a permit; one of them may be cancelled at 0.5 s."""
    world = World()
    desk = world.service("desk", latency=1.0)

    async def person(name, semaphore):
        if name == gives_up:
            asyncio.get_running_loop().call_later(0.5, asyncio.current_task().cancel)
        with waiting("the permit"):
            await semaphore.acquire()
        try:
            await desk()
        finally:
            semaphore.release()

    async def office():
        semaphore = asyncio.Semaphore(permits)
        await asyncio.wait([asyncio.create_task(person(name, semaphore), name=name) for name in people])

    return simulate(office, world=world).timeline


show(line_of(["ann", "ben", "cleo"]), title="Who gets the permit next?")

# %% [markdown]
# **A cancelled waiter leaves the queue.** `acquire()` is an `await` like any other: a cancellation lands there as
# `CancelledError`. The waiter's place is free again. It took no permit, so it must not give one back. Ben is cancelled
# at 0.5 s. **When is Cleo served?**

# %%
show(
    line_of(["ann", "ben", "cleo"], gives_up="ben"), title="Ben is cancelled: when is Cleo served?", fold="What happens"
)

# %% [markdown]
# **`asyncio.timeout` covers its block**, and raises `TimeoutError` when the time is up. One line in two places has two
# meanings: it limits the wait alone, or everything. Both functions have a limit of 1 s. The permit is free at 0.5 s,
# and the query takes 2 s:


# %%
async def limits_the_wait(semaphore, query):
    async with asyncio.timeout(1):
        with waiting("the permit"):
            await semaphore.acquire()
    try:
        await query()
    finally:
        semaphore.release()


async def limits_everything(semaphore, query):
    async with asyncio.timeout(1):
        with waiting("the permit"):
            await semaphore.acquire()
        try:
            await query()
        finally:
            semaphore.release()


# %%
def both_limits():
    world = World()
    query = world.service("query", latency=2.0)

    async def limited(each):
        semaphore = asyncio.Semaphore(0)
        asyncio.get_running_loop().call_later(0.5, semaphore.release)
        await each(semaphore, query)

    async def side_by_side():
        both = (limits_the_wait, limits_everything)
        tasks = [asyncio.create_task(limited(each), name=each.__name__) for each in both]
        await asyncio.gather(*tasks, return_exceptions=True)

    return simulate(side_by_side, world=world).timeline


show(both_limits(), title="A limit of 1 s: what does it cover?", order=["limits_the_wait"], until=3)

# %% [markdown]
# ### Warm-up 2: fix a leaked permit
#
# This function works in every demonstration. After a bad afternoon the service hangs, although the database is idle.
# Fix the function and run its cell. Then run the folded cell below, which checks it.


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
        return "one call failed, one was cancelled, and then the next calls wait forever."
    busy = max(number for _, number in in_flight(run.timeline))
    return "" if run.error is None and busy == 2 else f"of two permits at most {busy:g} were used ({run.error!r})."


_ = mended(
    afternoon,
    well="Fixed: the permit comes back on every way out.",
    hint="Three ways lead out of `await query()`: a result, an error, a cancellation. What covers all three?",
)

# %% [markdown]
# ## Exercise: a bulkhead with a bounded queue
#
# Write `Bulkhead(max_concurrent, *, max_queue=0, max_wait=None)` with `await bulkhead.run(op)`. This is the whole
# contract:
#
# * **Permits.** `run(op)` takes a permit and awaits `op()`, which gives a fresh awaitable at each call. At most
#   `max_concurrent` calls run at once; the others wait. Permits go to the callers in the order in which they came: a
#   later caller never overtakes.
# * **Result.** `run` returns what `op` returns and raises what `op` raises, unchanged. That includes a `TimeoutError`
#   that `op` raises.
# * **A full queue.** When no permit is free and `max_queue` callers already wait, `run` raises `BulkheadFull` at once,
#   without calling `op`. With `max_queue=0` no caller ever waits.
# * **Patience.** A caller that has waited `max_wait` seconds gets `BulkheadFull`; `None` means no limit. The limit
#   covers the wait alone: `op` may take as long as it likes.
# * **Every way out.** The permit comes back when `op` returns, fails or is cancelled. A cancelled waiter leaves the
#   queue, and a cancellation always propagates.
# * **Numbers.** `active`: how many calls run now; `waiting`: how many callers wait.
# * **Instances** share nothing.
#
# **Promised**: `max_concurrent` is at least 1, `max_queue` at least 0, `max_wait` positive. The tests look only at what
# your class does: a semaphore, a queue of futures and an installed library are all welcome.


# %% exercise="bulkhead"
class BulkheadFull(Exception):
    """No permit is free, and the queue has no place."""


class Bulkhead:
    """Run at most `max_concurrent` calls at once; let `max_queue` more wait, each for at most `max_wait` seconds."""

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
# There are four steps: check that there is room, wait for a permit, run `op`, give the permit back. For each step,
# write down what must be undone when it fails. The first step has no `await`, so no other task can run between the
# check and what follows from it.
# </details>
#
# <details><summary>Hint 2: two counters, two <code>try</code></summary>
#
# `waiting` goes up before the wait, and down in the wait's `finally`. `active` goes up when the permit is there, and
# down in the `finally` around `op`, where the permit is given back too. One `try` can't do both: a permit that wasn't
# taken must not be given back.
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
# Nothing so far depended on the virtual clock. Now nine real calls of 50 ms go through the lecture's bulkhead, three at
# a time. **How long will the cell take?**


# %%
async def nine_calls(query):
    bulkhead = LectureBulkhead(3)
    async with asyncio.TaskGroup() as group:
        for number in range(1, 10):
            group.create_task(bulkhead.execute(query), name=f"call {number}")


real_world = World()
real_run = await live(nine_calls(real_world.service("query", latency=0.05)), world=real_world)
show(
    slots(
        occupancy(real_run.timeline, tenant=lambda call: "answered"),
        title="Nine calls, three permits: how long on the real clock?",
        tenants={"answered": "ok"},
    ),
    fold="What happens",
)

# %% [markdown]
# ## Code review
#
# <details><summary>What else would you say about the lecture's listing?</summary>
#
# * **An error that can't happen.** `acquire` fails only when the semaphore was closed, and no code closes it. So
#   "Failed to acquire permit" is never returned, and the service never sheds load.
# * **A result in a result.** `execute` returns `Result<T, String>`, and `T` is itself a result. The `.unwrap()` in the
#   example opens only the outer result, the permit's. The inner one, the database's, is dropped without a look.
# * **One after the other.** The example awaits the database and then the API, so only one call runs at a time. It never
#   reaches the limits of 20 and 10.
# * **No way to look inside.** A dashboard should show how many calls run, how many wait and how many were rejected. A
#   full queue is the first sign of a slow neighbour.
# </details>

# %% [markdown]
# ## What practitioners use
#
# **`anyio.CapacityLimiter`** is a semaphore that knows which task borrowed each permit. (It has no bounded queue and no
# patience; you can build both from `acquire_on_behalf_of_nowait` and `move_on_after`.) A task may hold only one permit.
# With a plain semaphore, a nested call can make a task wait forever for itself. Here it is an error:


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
# **Is `asyncio.Semaphore` fair?** A regular customer comes back the moment it has been served, while two others wait.
# Does it get the permit that it has just given back?


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
    why="`asyncio.Semaphore` is fair: while a task waits, the semaphore is locked for all newcomers. Many home-made "
    "ones, with a `Condition` or a loop that asks again and again, let the regular overtake.",
)

# %% [markdown]
# **`aiolimiter` limits the rate, not the number in flight.** Eight reports a second sounds like a bound, and each
# report takes 30 s. How many are in flight after half a minute?


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
    "How many reports are in flight after 29 s, with AsyncLimiter(8, 1)?",
    lambda: max(number for _, number in in_flight(rate_limited())),
    tolerance=0.1,
    why="Eight start in a first burst, then one every 1/8 s, and none of them ends: Little's law again, 8 × 30. A rate "
    "limit suits a service that bills by the call; only a bulkhead bounds what is in flight.",
)

# %% [markdown]
# These are the defaults in the libraries' own sources and documentation:
#
# | library | calls at once | waiting |
# |---|---|---|
# | resilience4j (Java) | 25 | no time at all (`maxWaitDuration` 0) |
# | Polly (.NET) | 1,000 | no caller (queue 0) |
# | SQLAlchemy's connection pool | 5, and 10 more when needed | any number of callers, for 30 s |
#
# The first two agree: no queue. A connection pool is a bulkhead too, and you already have one. Look at its limits
# before you write another.

# %% [markdown]
# ## Questions
#
# <details><summary>Your pages need 100 × 0.05 = 5 permits on average. Why not give them exactly five?</summary>
#
# Five is the average. Arrivals come in bursts, and queries are sometimes slow. With five permits, every burst waits.
# About twice the average leaves room, and a short queue takes the rest.
# </details>
#
# <details><summary>Ten tenants share twenty permits. Two for each, or one pool?</summary>
#
# Walls cost utilisation: at night, a tenant that is alone can use only two of the twenty. Separate what fails in
# different ways (fast and slow, paid and free, this database and that API), not everything. A middle way is a small
# share for each tenant, and the rest in common.
# </details>
#
# <details><summary><code>BulkheadFull</code> reaches your retry loop. Should it try again?</summary>
#
# The error says that too much is in flight already, and a retry adds to that. If you retry at all, do it late and
# rarely. Another answer is better: one from a cache, or an honest 503 with `Retry-After`.
# </details>
#
# <details><summary>A user leaves while the request waits. Where in the queue does the request belong?</summary>
#
# Nowhere. Cancel the request when its user leaves, and the queue gets shorter by itself. That is why a cancelled waiter
# must leave the queue.
# </details>

# %% [markdown]
# <details><summary>For Rust readers</summary>
#
# * `tokio::sync::Semaphore` is fair as well. `try_acquire` gives a queue of length 0, and `tokio::time::timeout(wait,
#   semaphore.acquire())` gives the patience.
# * A `SemaphorePermit` gives itself back in `drop`, on errors, panics and cancellation (a dropped future). Python's
#   counterpart is `async with`, or `try` and `finally`. A bare `release()` at the end is the leaked permit of warm-up
#   2.
# * To move a permit into a spawned task, use `acquire_owned` on an `Arc<Semaphore>`.
# * In a stack of services, the pattern is tower's `ConcurrencyLimit`. Put `LoadShed` before it for a queue of length 0.
# </details>
