# %% [markdown]
# # Graceful shutdown
#
# Twice a day the team deploys. Nothing is broken, no alarm rings, and each time the support desk gets the same mail: "I
# pressed Pay and got an error page. The second time it worked." The team counts: most of the month's failed requests
# happen in the few minutes of the deploys.
#
# A deploy starts a new process and tells the old one to go. This notebook is about the second half: **how do I leave?**
# About 30 minutes to read and try, and 100 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
from faultlab import World, hang, mark, ok, play, show, simulate, waiting
from faultlab.explore import explore
from faultlab.lanes import lanes
from faultlab.notebook import start
from faultlab.warmup import estimate, mended, predict

start()

# %%
import asyncio
import os
import re
import signal
import sys
from types import SimpleNamespace

from autograder import check


# %% toolkit="true"
class Rejected(Exception):
    """Raised when the server is leaving and accepts no new work: 503."""

    status = 503


# %% [markdown]
# ## Every deploy drops requests
#
# One old process, one load balancer, sixteen requests: one every 0.3 s, each with 0.5 to 2 s of work. The balancer
# sends requests to the old process as long as it believes that the process is ready, and it asks only every 2 s.
# (Requests that it sends elsewhere aren't drawn.) SIGTERM arrives at 3.2 s: the signal with which a deploy says "please
# go". When the process is gone, whatever it was still doing dies with it.
#
# Three folded cells set this stage. `deploy(make)` plays it on the virtual clock, where `loop.deliver_signal` does
# what the operating system does on the real one. `drawn` draws it, and `suffered` counts
# the requests that suffer.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def process(make, work, new, sigterm):
    """Sixteen requests on their way to one process, which gets SIGTERM in their midst."""
    loop, clients, balancer = asyncio.get_running_loop(), [], SimpleNamespace(sends=True)
    told, over = asyncio.Event(), asyncio.Event()
    server = make(lambda number: work.for_lane(f"request {number}")(number))

    def ask():
        balancer.sends = server.ready
        mark("ready" if server.ready else "not ready", lane="balancer")
        mark("sends to", "old process" if server.ready else "new process", lane="")

    def send(number):
        if balancer.sends:
            clients.append(loop.create_task(client(server, number), name=f"request {number}"))
        elif new:
            loop.create_task(new(number), name=f"request {number}")

    for turn in range(4):
        loop.call_at(0.1 + 2 * turn, ask)
    for number in range(1, 17):
        loop.call_at(0.3 * number, send, number)
    loop.add_signal_handler(signal.SIGTERM, told.set)
    loop.call_at(sigterm, loop.deliver_signal, signal.SIGTERM)
    loop.call_at(6.9, over.set)
    await told.wait()
    await leave(server, clients)
    if make is not Frozen:
        await over.wait()


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def client(server, number):
    """What one client sees."""
    try:
        await server.handle(number)
    except (Rejected, ConnectionError):
        mark("refused")
    except asyncio.CancelledError:
        mark("cut off")


async def leave(server, clients):
    """What the process does at SIGTERM; whatever it is still doing then dies with it."""
    if isinstance(server, Frozen):
        return mark("SIGTERM")
    if hasattr(server, "shutdown"):
        mark("SIGTERM")
        await server.shutdown()
        mark("gone")
    else:
        mark("SIGTERM: gone at once")
    server.ready, server.handle = False, nobody_listens
    for task in clients:
        task.cancel()


async def nobody_listens(number):
    raise ConnectionRefusedError("the process is gone")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class Frozen:
    """A server at whose SIGTERM the picture stops."""

    ready = True

    def __init__(self, handler):
        self.handle = handler


def deploy(make, sigterm=3.2, both=False):
    """The stage, played once on the virtual clock; with `both` also what the balancer sends to the new process."""
    world = World(seed=35)
    work = world.service("work", latency=lambda draw: draw.uniform(0.5, 2.0))
    new = world.service("new_process", latency=1.0) if both else None
    return simulate(process(make, work, new, sigterm), world=world, catch=True).timeline


def drawn(timeline, title, until=7, **layout):
    lines = ["SIGTERM", "gone", "SIGTERM: gone at once"]
    return lanes(timeline, title=title, lines=lines, limit=18, until=until, **layout)


def suffered(timeline):
    """How many requests were cut off, and how many refused."""
    return {what: len(timeline.marks(what)) for what in ("cut off", "refused")}


def kinds(timeline):
    """In which ways requests suffered."""
    return tuple(what for what, number in suffered(timeline).items() if number)


# %% [markdown]
# This is the stage up to the signal. Five requests are in flight, and the balancer still believes "ready".

# %% cover="true"
show(drawn(deploy(Frozen), "SIGTERM at 3.2 s: which requests will suffer?", until=5))


# %%
class Abrupt:
    """Serves; it has no code for leaving, so SIGTERM ends it."""

    ready = True

    def __init__(self, handler):
        self.handle = handler


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Today's service has no code for leaving: SIGTERM arrives, and the process ends. Which requests suffer?",
    {
        "those that began shortly before the signal": ("cut off",),
        "those that come shortly after it": ("refused",),
        "both": ("cut off", "refused"),
    },
    lambda: kinds(deploy(Abrupt)),
    why="The five requests in flight are cut off mid-work, and nobody can say how far they got. And until the balancer "
    "asks again, at 4.1 s, it sends three more to a process that no longer exists: they are refused.",
)

# %%
show(drawn(deploy(Abrupt), "A process without a shutdown: which requests suffer?"), fold="What happens")

# %% [markdown]
# The lecture's service is such a process: its last line serves forever. What it lacks is the exercise at the lecture's
# end, "clean shutdown that drains requests".
#
# ## The pattern
#
# **Accept no more, finish what you have, then go.**


# %%
class Draining:
    """Serves; at SIGTERM it finishes what it has."""

    def __init__(self, handler):
        self.handler, self.ready, self.open, self.tasks = handler, True, True, set()

    async def handle(self, number):
        if not self.open:
            raise Rejected("shutting down")
        task = asyncio.create_task(self.handler(number))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return await task

    async def shutdown(self):
        self.ready = self.open = False
        if self.tasks:
            await asyncio.wait(self.tasks)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The same requests, the same signal. Which requests still suffer?",
    {
        "none": (),
        "some are cut off": ("cut off",),
        "some are refused": ("refused",),
        "some are cut off, some refused": ("cut off", "refused"),
    },
    lambda: kinds(deploy(Draining)),
    why="No request is cut off any more. But now the process itself refuses three: from 3.2 s to 4.1 s the balancer "
    "doesn't know yet, sends on, and hears no.",
)

# %%
show(drawn(deploy(Draining), "A process that drains: which requests suffer?"), fold="What happens")

# %% [markdown]
# ## Unready, yet accepting
#
# "I am leaving, so I reject new work" is right, but a moment too early. There are two questions, and for a while they
# have different answers. *Should you send me more?* No. *Do I accept what still comes?* Yes. The SRE book calls a
# process in this state a [lame duck](https://sre.google/sre-book/load-balancing-datacenter/). We call its
# duration the **readiness delay**.


# %%
class LameDuck(Draining):
    """Says that it isn't ready, but accepts what still comes for `delay` seconds."""

    def __init__(self, handler, delay):
        super().__init__(handler)
        self.delay = delay

    async def shutdown(self):
        self.ready = False
        await asyncio.sleep(self.delay)
        await super().shutdown()


def with_delay(delay, sigterm=3.2, both=False):
    return deploy(lambda handler: LameDuck(handler, delay), sigterm, both)


def shortest(*delays):
    """The first of these delays with which no request is refused."""
    return next(delay for delay in delays if not suffered(with_delay(delay))["refused"])


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "SIGTERM arrives at 3.2 s, the balancer asks at 4.1 s. What is the shortest of these delays with which no request "
    "is refused?",
    {"no delay: draining is enough": 0.0, "0.5 s": 0.5, "1 s": 1.0, "2 s": 2.0},
    lambda: shortest(0.0, 0.5, 1.0, 2.0),
    why="Until the balancer asks, it sends. How long a request takes doesn't matter: the drain takes care of that. No "
    "request suffers any more; the price is that the process leaves later.",
)

# %% [markdown]
# Press Play, and watch the balancer. Where does it still send requests after SIGTERM, and from which moment on does it
# send them to the new process?

# %%
delay = shortest(0.0, 0.5, 1.0, 2.0)
title = "Unready, yet accepting: where do the requests go?"
play(
    with_delay(delay, both=True),
    view="flow",
    title=title,
    alt="Requests on their way through the balancer to the old process, and later to the new one; below, their lanes.",
    still=drawn(with_delay(delay), title),
    who="requests",
    servers=lambda call: "old process" if call.service == "work" else "new process",
    switch="sends to",
)

# %% [markdown]
# One deploy is one moment. Move SIGTERM: how long must the delay be so that no request suffers, *whenever* the signal
# comes?


# %%
def moved(delay=0.0, sigterm=3.2):
    run = with_delay(delay, sigterm)
    number = suffered(run)
    title = f"Which requests suffer? {number['cut off']} are cut off, {number['refused']} refused"
    return drawn(run, title, height=720)


explore(
    moved,
    alt="A lane for each request; the balancer asks every 2 s; lines at SIGTERM and where the process is gone.",
    labels={"delay": "readiness delay, s", "sigterm": "SIGTERM at, s"},
    delay=(0.0, 2.5, 0.25),
    sigterm=(2.2, 4.2, 0.25),
)

# %% [markdown]
# <details><summary>How long?</summary>
#
# As long as the balancer's *lag*: the longest time from "not ready" to the last request that it still sends. Here it
# asks every 2 s, so 2 s. In production the lag is longer: the health check's interval, times the number of failures
# that it wants to see, plus the time until every proxy has heard.
#
# </details>
#
# ## What if a request never ends?
#
# One request in thousands hangs. Here three are in flight at SIGTERM, and the third will never be answered. At its end
# each handler gives a connection back, which takes 0.8 s. When the process has nothing left to do, it takes another
# 0.3 s to exit. (The folded cell sets this stage; `leave(tasks)` is the part that you will see change.)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def three_requests(leave):
    """Three requests in flight, the third never ends; after 0.5 s `leave(tasks)`, and then the process is gone."""
    world = World()
    lasts = {1: ok(after=0.9), 2: ok(after=1.7), 3: hang()}
    work = world.service("work", lambda asked: lasts[asked.args[0]])
    cleanup = world.service("cleanup", latency=0.8)

    async def handler(number):
        try:
            await work(number)
        finally:
            await cleanup()

    async def process():
        tasks = {asyncio.create_task(handler(number), name=f"request {number}") for number in lasts}
        await asyncio.sleep(0.5)
        mark("SIGTERM")
        with waiting("the requests"):
            await leave(tasks)
        await asyncio.sleep(0.3)
        mark("gone")

    return simulate(process, world=world, catch=True)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def third_request(leave, title):
    return lanes(three_requests(leave).timeline, title=title, lines=["SIGTERM", "gone"], order=["process"], until=5)


def when_gone(leave):
    marks = three_requests(leave).timeline.marks("gone")
    return round(marks[0].at, 1) if marks else "never"


# %%
async def wait_for_all(tasks):
    await asyncio.wait(tasks)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Requests 1 and 2 end after 0.9 s and 1.7 s, and clean up for 0.8 s. When is the process gone?",
    {"after 2 s": 2.0, "after 2.8 s": 2.8, "after 30 s": 30.0, "never": "never"},
    lambda: when_gone(wait_for_all),
    why="`asyncio.wait` waits for all of them. In production something else ends this: after a grace period comes "
    "SIGKILL, which no code can handle, and everything still open is lost.",
)

# %% [markdown]
# So draining needs an end: the **drain timeout**. When it is over, the late requests are cancelled. The next cell does
# just that. **Has request 3 given its connection back when the process is gone?**


# %%
async def cancel_and_go(tasks):
    _, late = await asyncio.wait(tasks, timeout=3)
    for task in late:
        task.cancel()


show(third_request(cancel_and_go, "Has request 3 given its connection back?"), fold="What happens")

# %% [markdown]
# <details><summary>Why?</summary>
#
# It hasn't: its cleanup has begun, and the process is gone before it ends. `task.cancel()` doesn't end a task, it
# *asks*. At its next turn the task gets a `CancelledError` at the `await` where it waits, and then its `finally` needs
# time of its own. It got none.
#
# </details>
#
# **Warm-up: the cancel that nobody awaited.** One line is missing below. Fix it, and run the cell again.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def cleaned_up():
    run = three_requests(mend_the_cancel)
    calls = run.timeline.calls("cleanup", lane="request 3")
    through = [call for call in calls if call.outcome == "ok"]
    return "" if through else "request 3 was cancelled, and the process was gone before it had cleaned up."


# %%
async def mend_the_cancel(tasks):
    _, late = await asyncio.wait(tasks, timeout=3)
    for task in late:
        task.cancel()


_ = mended(
    cleaned_up,
    well="Fixed: the process also waits for the cleanup.",
    hint="What waits for tasks that are in a set? It also works for tasks that were cancelled.",
    picture=lambda well: third_request(mend_the_cancel, "Your version: has request 3 given its connection back?"),
)

# %% [markdown]
# ## In which order to close
#
# After the last request the server closes what the requests used: a cache that writes its last entries to the database,
# and the database itself. They were opened in the opposite order, the database first, because the cache rests on it.
#
# **Warm-up: fix the order of closing.** What is wrong with this function?


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def closed_in_order():
    closed = []

    async def database():
        closed.append("database")

    async def cache():
        if "database" in closed:
            raise RuntimeError("the cache wanted to write its last entries, and the database was closed")
        closed.append("cache")

    ended = simulate(mend_the_order([database, cache]), catch=True)
    if ended.error is not None:
        return str(ended.error)
    return "" if closed == ["cache", "database"] else f"this is all that was closed: {', '.join(closed) or 'nothing'}"


# %%
async def mend_the_order(opened):
    """Close what was opened; `opened` has the database first, then the cache."""
    for close in opened:
        await close()


_ = mended(
    closed_in_order,
    well="Fixed: the cache first, then the database that it rests on.",
    hint="Close last what was opened first; `reversed` goes through a list backwards.",
)

# %% [markdown]
# One more thing, for the exercise: if closing the cache fails, the database must still be closed.
#
# ## asyncio you need
#
# **1. `asyncio.wait(tasks, timeout=...)`** returns two sets: the tasks that are done and those that are late. It
# cancels nothing, and it raises neither a `TimeoutError` nor what a task raised. (`wait_for` does both: at its timeout
# it cancels and raises. `gather` raises the first error and cancels nothing: the other tasks keep running.)


# %%
async def wait_for_three():
    tasks = {asyncio.create_task(asyncio.sleep(lasts), name=f"{lasts:g} s") for lasts in (0.5, 1.0, 3.0)}
    with waiting("all three"):
        done, late = await asyncio.wait(tasks, timeout=1.5)
    mark(f"{len(done)} done, {len(late)} late")
    await asyncio.wait(late)


show(
    simulate(wait_for_three()).timeline,
    alt="wait returns at 1.5 s: two tasks are done; the third continues to 3 s.",
    title="What does a timeout of 1.5 s do to the third task?",
)

# %% [markdown]
# **2. `asyncio.shield`.** Two callers await the same task, and caller 1 is cancelled after one second. What happens to
# the task, and to caller 2?


# %%
async def two_callers(guard):
    """Two callers of one task; after 1 s the first one is cancelled."""

    async def caller():
        with waiting("the shared task"):
            await guard(shared)
        mark("has the answer")

    shared = asyncio.create_task(asyncio.sleep(2), name="shared task")
    first, second = (asyncio.create_task(caller(), name=name) for name in ("caller 1", "caller 2"))
    await asyncio.sleep(1)
    first.cancel()
    await asyncio.wait({first, second})


# %%
def show_callers(guard, title):
    show(simulate(two_callers(guard)).timeline, title=title, until=2.2, fold=title)


show_callers(lambda task: task, "await task: what does caller 2 get?")
show_callers(asyncio.shield, "await asyncio.shield(task): what does caller 2 get?")

# %% [markdown]
# <details><summary>In words</summary>
#
# Without the shield, cancelling a caller cancels the task that it awaits, and so every other caller of that task. The
# shield keeps the cancellation on the caller's side.
#
# </details>
#
# For `handle` you want the first: when a client disconnects, its handler should be cancelled too. For several callers
# of one `shutdown()` you want the second.
#
# **3. `loop.add_signal_handler(signal.SIGTERM, function)`** calls an ordinary function between two steps of the loop.
# So this function only sets an event or starts a task, as on the stage above. In the exercise the tests deliver the
# signal: your server only has to know how to leave.

# %% [markdown] lecture="Exercise 4: Graceful Shutdown"
# ## Your turn: a server that knows how to leave
#
# ```python
# class GracefulServer:
#     def __init__(self, handler, *, drain_timeout=10.0, readiness_delay=0.0, on_close=()): ...
#     ready: bool                          # may the load balancer send more?
#     in_flight: int                       # requests being served
#     async def handle(self, request): ... # runs handler(request)
#     def shutdown(self): ...              # an awaitable of the report
# ```
#
# **Serving.** `handle` awaits `handler(request)` and returns its answer, for any number of requests side by side. An
# error of the handler goes to its caller. A client that disconnects (its call of `handle` is cancelled) cancels its
# handler. However a request ends, `in_flight` no longer counts it.
#
# **Draining.** `shutdown()` makes the server leave:
#
# 1. `ready` is False at once. For `readiness_delay` seconds more the server still accepts work, because the load
#    balancer hears of it late.
# 2. Then it drains: requests in flight continue, and `handle` raises `Rejected` at once, from now on and forever.
#    As soon as nothing is in flight, step 4 follows.
# 3. `drain_timeout` seconds after the drain began (one deadline for all) it cancels the rest, **and awaits their
#    cleanup**.
# 4. It calls and awaits `on_close`, one after the other in reverse order. If one fails, the others still run.
# 5. The report says what happened:
#
# | field | meaning |
# |---|---|
# | `.completed` | how many of the drained requests ended by themselves, with an answer or an error |
# | `.cancelled` | how many had to be cancelled, however these ended |
# | `.duration` | seconds from the first call of `shutdown()` to the end |
# | `.close_errors` | a list: what `on_close` raised, in the order of closing |
#
# **Again.** `shutdown()` may be called more than once, before the end or after it. Every caller gets the same report;
# nothing is done twice.
#
# Left open: clients that disconnect during the drain, a caller of `shutdown()` that is cancelled, and whether
# `completed` counts work that came and went during the readiness delay. `Rejected` is given; you choose what the report
# is made of.
#
# Take it in steps: `check("shutdown", step=1)` judges Serving alone, 2 Draining, 3 Deadline, 4 Closing, 5 Readiness,
# 6 Again.

# %% [markdown]
# <details><summary>Hint 1: what to remember</summary>
#
# Three things live as long as the server: the tasks that are in flight (a set), whether it still accepts work, and the
# one task that does the leaving. `ready` and "accepts" are two flags, not one.
#
# </details>
#
# <details><summary>Hint 2: which task does the waiting</summary>
#
# Run each handler in a task of its own, keep the task in the set, and let `add_done_callback` take it out.
# `asyncio.wait(tasks, timeout=...)` gives you the late ones; cancel them, then call `asyncio.wait` once more for these.
# Let `shutdown()` start *one* task that does all of this, and return something that each caller can await.
#
# </details>
#
# <details><summary>Hint 3: the lines of leaving, shuffled</summary>
#
# ```python
# for task in late: task.cancel()
# self._accepting = False
# for close in reversed(self.on_close): ...
# done, late = await asyncio.wait(self._tasks, timeout=self.drain_timeout)
# await asyncio.sleep(self.readiness_delay)
# self.ready = False
# await asyncio.wait(late)
# ```
#
# `asyncio.wait` raises ValueError for an empty set: check first.
#
# </details>


# %% exercise="shutdown"
class GracefulServer:
    """Serve requests, and leave without dropping any; `on_close` are callables that return awaitables."""

    def __init__(self, handler, *, drain_timeout=10.0, readiness_delay=0.0, on_close=()):
        ### BEGIN SOLUTION
        self.handler = handler
        self.drain_timeout = drain_timeout
        self.readiness_delay = readiness_delay
        self.on_close = tuple(on_close)
        self.ready = True
        self._accepting = True
        self._tasks = set()
        self._over = 0
        self._leaving = None

    @property
    def in_flight(self):
        return len(self._tasks)
        ### END SOLUTION

    async def handle(self, request):
        """Run `handler(request)` and return its answer; raise Rejected when the server accepts no more."""
        ### BEGIN SOLUTION
        if not self._accepting:
            raise Rejected("shutting down")
        self._tasks.add(task := asyncio.ensure_future(self.handler(request)))
        task.add_done_callback(self._ended)
        return await task

    def _ended(self, task):
        self._tasks.discard(task)
        self._over += 1
        ### END SOLUTION

    def shutdown(self):
        """Leave. Return an awaitable of the report, which is the same for every caller."""
        ### BEGIN SOLUTION
        self.ready = False
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())
        return asyncio.shield(self._leaving)

    async def _leave(self):
        clock = asyncio.get_running_loop().time
        began, before = clock(), self._over
        await asyncio.sleep(self.readiness_delay)
        self._accepting = False
        cancelled = await self._drain()
        completed = self._over - before - cancelled
        errors = []
        for close in reversed(self.on_close):
            try:
                await close()
            except Exception as error:
                errors.append(error)
        return SimpleNamespace(completed=completed, cancelled=cancelled, duration=clock() - began, close_errors=errors)

    async def _drain(self):
        if not self._tasks:
            return 0
        _, late = await asyncio.wait(self._tasks, timeout=self.drain_timeout)
        cancelled = sum(task.cancel() for task in late)
        if late:
            await asyncio.wait(late)
        return cancelled
        ### END SOLUTION


# %% [markdown]
# ## Your server on the stage
#
# The opening stage again, now with your server and the delay that the balancer needs. Without a shutdown the deploy cut
# off or refused eight requests; and now?


# %%
def yours(handler):
    return GracefulServer(handler, readiness_delay=2.0, drain_timeout=5.0)


if hasattr(GracefulServer(print), "ready"):
    show(drawn(deploy(yours), "Your own server: which requests suffer?"))
else:
    print("There is nothing to see yet: come back when your server serves.")

# %% [markdown]
# ## What practitioners use
#
# You don't have to write this class anew for each service: web servers come with one. So let us watch one leave, on
# the real clock, with a real signal. The next cells start [uvicorn](https://www.uvicorn.org) in a process of its own.
# It gets one second for the drain (`timeout_graceful_shutdown=1`; without this setting uvicorn waits forever). The
# application cleans up for 0.3 s when it is cancelled.

# %%
SERVER = """
import asyncio, uvicorn

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("APP: everything is closed", flush=True)
        return await send({"type": "lifespan.shutdown.complete"})
    print("APP:", scope["path"], "begins", flush=True)
    try:
        await asyncio.sleep(float(scope["path"][1:]))
    except asyncio.CancelledError:
        print("APP: cancelled, cleaning up", flush=True)
        await asyncio.sleep(0.3)
        print("APP: cleaned up", flush=True)
        raise
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})

uvicorn.run(app, port=0, timeout_graceful_shutdown=1)
"""

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import httpx2


async def get(web, path):
    """What a client sees, and after how long."""
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        saw = (await web.get(path)).status_code
    except httpx2.TransportError as failure:
        saw = type(failure).__name__
    return f"{path:6} {saw}, after {clock() - began:.1f} s"


async def heard(server, what):
    """Read what the server says until a line has these words in it."""
    while what not in (line := (await server.stdout.readline()).decode()):
        assert line, f"the server ended before it said {what!r}"
    return line


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def real_deploy():
    out, err = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, stdout=out, stderr=err)
    try:
        url = re.search(r"http://[\d.:]+", await heard(server, "running on"))[0]
        async with httpx2.AsyncClient(base_url=url, timeout=20, trust_env=False) as web:
            early = []
            for path in ("/0.5", "/60"):
                early.append(asyncio.create_task(get(web, path)))
                await heard(server, f"{path} begins")
            os.kill(server.pid, signal.SIGTERM)
            await heard(server, "Waiting for connections")
            saw = [await get(web, "/0.1"), *[await one for one in early]]
        lines = (await server.stdout.read()).decode().splitlines()
    except BaseException:
        server.kill()
        raise
    finally:
        await server.wait()
    return saw, [line for line in lines if line.startswith("APP") or "Cancel" in line]


# %% [markdown]
# Three clients: one asks for 0.5 s of work and one for 60 s, both before the signal. The third comes a moment after it.
# **What will each of them see? And will the application say that it has cleaned up?**

# %%
if sys.platform in ("linux", "darwin"):
    saw, said = await real_deploy()
    print(*saw, "", *said, sep="\n")
else:
    print("This cell needs a system with processes and SIGTERM: Linux or macOS.")

# %% [markdown]
# <details><summary>What each of them saw, and why</summary>
#
# * `/0.5` was in flight and was served to its end: uvicorn drains.
# * `/0.1` came after the signal and wasn't even connected: uvicorn closes its listening socket at once. It has no
#   readiness delay, so the platform must bring one (see below).
# * `/60` was cancelled after a second, and its cleanup **began and never ended**: uvicorn 0.54 cancels the tasks and
#   doesn't await them. "Everything is closed" comes while the handler still cleans up. It is the cancel that nobody
#   awaited. If work must not be lost, await it in the part of the app that closes things (`"lifespan"`, above): uvicorn
#   does wait for that.
#
# </details>
#
# **Kubernetes**, in words. When a pod has to go, two things begin at the same time. The pod is taken out of the list
# that the proxies send to (its *endpoints*), and the container is told to stop. Nothing waits until all proxies have
# heard. Then:
#
# | when | what happens | set by |
# |---|---|---|
# | at once | the grace period begins: `terminationGracePeriodSeconds`, 30 s unless set | the pod's specification |
# | first | the `preStop` hook runs, if there is one, and its time counts | the pod's specification |
# | when the hook has ended | SIGTERM | your process: readiness delay, drain, close |
# | at the end of the grace period | SIGKILL, which no process can handle | Kubernetes |
#
# A `preStop` hook that only sleeps *is* a readiness delay, for servers that have none. (Sources: Kubernetes
# documentation, [Pod Lifecycle](https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination) and
# [Container Lifecycle Hooks](https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/);
# [uvicorn's settings](https://www.uvicorn.org/settings/).)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "terminationGracePeriodSeconds is 30, preStop sleeps 10 s, closing takes up to 3 s. How long may the drain be?",
    lambda: 30 - 10 - 3,
    unit="s",
    why="Everything has to fit into the one grace period, the hook included. A drain timeout of 25 s looks "
    "harmless and ends in SIGKILL, exactly on the day when requests hang.",
)

# %% [markdown]
# <details><summary>Code review: what else is missing in the class of fifteen lines</summary>
#
# * **Two callers.** If SIGTERM comes twice, or a health endpoint calls `shutdown()` too, the class drains twice and
#   closes twice.
# * **Work that isn't a request.** `asyncio.create_task` for a mail "in the background" is in no set: the task dies
#   without a word. Put such tasks into a set as well, or into a TaskGroup that the drain awaits.
# * **Work that never ends by design.** Websockets, long polls, streams: no drain timeout is long enough. They must be
#   told to end ("reconnect, please") when `ready` becomes False.
# * **Work that is pulled.** A consumer of a queue has no load balancer: it stops fetching first, then finishes, and
#   acknowledges a message only after its work.
# * **Idle connections.** A keep-alive connection isn't in flight, and the next request on it may come at any moment:
#   answers during the readiness delay should carry `Connection: close`.
# * **Cleanup that hangs.** Awaiting it is right, awaiting it forever isn't. The exercise leaves that end open; a real
#   server gives cleanup and closing a limit of their own, and lets the grace period be the last one.
# * **Cleanup that fails.** The report of the exercise counts the request as cancelled and drops the error: only the
#   client hears of it. A real server logs the error too.
# * **`asyncio.run` as a safety net.** At its end it cancels what is left and awaits it: after everything was closed.
# * **The signal never arrives.** `sh -c "python app.py"` as a container's command makes the shell process 1, and the
#   shell need not pass SIGTERM on. Start the program itself (`exec python app.py`).
# * **It gets killed anyway.** Power cuts don't send SIGTERM. If something must survive, it has to survive SIGKILL too.
#   A graceful shutdown makes deploys unnoticeable; correctness must not rest on it.
#
# </details>
#
# <details><summary>Questions</summary>
#
# 1. *The database is unreachable at SIGTERM, and closing it runs into its timeout of 60 s. What do your clients
#    notice?* Nothing: they were drained before. But the grace period runs out, and SIGKILL ends the process before the
#    rest of `on_close` has run.
# 2. *Liveness, readiness: which one must answer "no" while the server drains?* Readiness. A failing liveness check
#    would have the process restarted in the middle of its drain.
# 3. *Why is a request that was cut off worse than one that was refused?* The refused one has certainly not been
#    executed, so it may be sent again. The other may have been executed or not, so repeating it needs an idempotency
#    key.
# 4. *Requests take 50 ms at most. Is a drain needed?* Yes, a short one. And the refusals in the pictures above don't
#    depend on the length of a request at all.
#
# </details>
#
# <details><summary>For Rust readers</summary>
#
# The lecture ends with `axum::serve(listener, app).await.unwrap()`: no signal, no drain. `axum::serve(...)
# .with_graceful_shutdown(signal)` stops accepting when the future `signal` resolves and waits for the open connections,
# without a deadline: put `tokio::time::timeout` around it. Like uvicorn it has no readiness delay.
#
# | here | tokio |
# |---|---|
# | `loop.add_signal_handler` | `tokio::signal::unix::signal(SignalKind::terminate())` |
# | the set of tasks, `asyncio.wait` | `tokio_util::task::TaskTracker`: `close()`, `wait()` |
# | `task.cancel()`, then await | `JoinSet::shutdown()` aborts all and awaits them |
# | telling every task that it is time | `tokio_util::sync::CancellationToken` |
# | `finally` with an `await` in it | there is none: dropping a future ends it, and `Drop` can't await |
#
# The last row is the difference that matters: an aborted task gets no time for a cleanup that awaits. So in Rust you
# *ask* with a token, and the task ends by itself; aborting is left for tasks that don't listen.
#
# </details>
