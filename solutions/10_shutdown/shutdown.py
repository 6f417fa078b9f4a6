# %% [markdown]
# # Graceful shutdown
#
# Twice a day the team deploys. Nothing is broken, no alarm rings, and each time the support desk gets the same mail: "I
# pressed Pay and got an error page. The second time it worked." Somebody counts: most of the month's failed requests
# fall into the few minutes of the deploys.
#
# A deploy starts a new process and tells the old one to go. This notebook is about the second half: **how do I leave?**
# About 30 minutes of reading and trying, and 100 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
from faultlab import World, hang, mark, ok, show, simulate
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
    """The server is leaving and takes no new work: 503."""

    status = 503


# %% [markdown]
# ## Every deploy drops requests
#
# One old process, one load balancer, sixteen requests, one every 0.3 s; each takes 0.5 to 2 s of work. The balancer
# sends to the old process as long as it believes it to be ready, and it asks only every 2 s; what it sends elsewhere
# isn't drawn. At 3.2 s comes SIGTERM, the signal with which a deploy says "please go". When the process is gone,
# whatever it was still doing dies with it.
#
# The two folded cells hold this stage: `deploy(make)` plays it on the virtual clock, where `loop.deliver_signal` does
# what the operating system does on the real one, and `drawn` draws it.


# %% jupyter={"source_hidden": true}
async def process(make, work, sigterm, asks_every=2.0):
    """Sixteen requests on their way to one process, SIGTERM in their midst."""
    loop, clients, balancer = asyncio.get_running_loop(), [], SimpleNamespace(sends=True)
    told, over = asyncio.Event(), asyncio.Event()
    server = make(lambda number: work.for_lane(f"request {number}")(number))

    def ask():
        balancer.sends = server.ready
        mark("ready" if server.ready else "not ready", lane="balancer")

    def send(number):
        if balancer.sends:
            clients.append(loop.create_task(client(server, number), name=f"request {number}"))

    for turn in range(4):
        loop.call_at(0.1 + asks_every * turn, ask)
    for number in range(1, 17):
        loop.call_at(0.3 * number, send, number)
    loop.add_signal_handler(signal.SIGTERM, told.set)
    loop.call_at(sigterm, loop.deliver_signal, signal.SIGTERM)
    loop.call_at(6.9, over.set)
    await told.wait()
    mark("SIGTERM")
    await server.shutdown()
    mark("gone")
    server.ready, server.handle = False, nobody_listens
    for task in clients:
        task.cancel()
    await over.wait()


# %% jupyter={"source_hidden": true}
async def client(server, number):
    """What one client sees."""
    try:
        await server.handle(number)
    except (Rejected, ConnectionError):
        mark("refused")
    except asyncio.CancelledError:
        mark("cut off")


async def nobody_listens(number):
    raise ConnectionRefusedError("the process is gone")


def deploy(make, sigterm=3.2):
    """The stage, played once on the virtual clock, and drawn."""
    world = World(seed=6)
    work = world.service("work", latency=lambda draw: draw.uniform(0.5, 2.0))
    return simulate(process(make, work, sigterm), world=world, catch=True).timeline


def drawn(timeline, title=""):
    return lanes(timeline, title=title, lines=["SIGTERM", "gone"], order=["balancer", "process"], limit=18, until=7)


# %% [markdown]
# Today's service has no thought of leaving: SIGTERM arrives, and the process ends. Who suffers, the requests that began
# shortly before the signal, those that come shortly after it, or both?


# %% cover="true"
class Abrupt:
    """Serves; at SIGTERM it is gone."""

    ready = True

    def __init__(self, handler):
        self.handle = handler

    async def shutdown(self):
        self.ready = False


show(drawn(deploy(Abrupt), "A process that is just ended"))

# %% [markdown]
# Both. Who was in flight is *cut off* in the middle of the work, and nobody can say how far it got. And until the
# balancer asks again, at 4.1 s, it sends more to a process that is no longer there: *refused*.


# %%
def suffered(timeline):
    """How many requests were cut off, and how many refused."""
    return {what: len(timeline.marks(what)) for what in ("cut off", "refused")}


suffered(deploy(Abrupt))

# %% [markdown]
# The lecture's service is such a process: its last line serves for ever, and the exercise at its end, "clean shutdown
# that drains requests", is what is missing.
#
# ## The pattern
#
# **Take no more, finish what you have, then go.**


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


# %% [markdown]
# Same requests, same signal. Does anybody still suffer?

# %%
show(drawn(deploy(Draining), "A process that drains"), fold="What happens")

# %% [markdown]
# Nobody is cut off any more. The refused ones are still there, and we made them ourselves: from 3.2 s to 4.1 s the
# balancer doesn't know yet, sends on, and hears "no".
#
# ## Unready, yet accepting
#
# "I leave, so I reject new work" is right, but a moment too early. There are two questions, and for a while they have
# different answers: *shall you send me more?* No. *Do I take what still comes?* Yes. The SRE book calls a process in
# this state a [lame duck](https://sre.google/sre-book/load-balancing-datacenter/). How long it lasts we call the
# **readiness delay**.


# %%
class LameDuck(Draining):
    """Says that it isn't ready, and for `delay` seconds takes what still comes."""

    def __init__(self, handler, delay):
        super().__init__(handler)
        self.delay = delay

    async def shutdown(self):
        self.ready = False
        await asyncio.sleep(self.delay)
        await super().shutdown()


def with_delay(delay, sigterm=3.2):
    return deploy(lambda handler: LameDuck(handler, delay), sigterm)


# %%
predict(
    "SIGTERM at 3.2 s, the balancer asks at 4.1 s. Which is the shortest of these delays with which nobody is refused?",
    {"no delay: draining is enough": 0.0, "0.5 s": 0.5, "1 s": 1.0, "2 s": 2.0},
    lambda: next(delay for delay in (0.0, 0.5, 1.0, 2.0) if not suffered(with_delay(delay))["refused"]),
    why="Until the balancer asks, it sends. How long a request takes doesn't matter: draining is for that.",
)

# %%
show(drawn(with_delay(1.0), "Unready, yet accepting for 1 s"), fold="What happens")

# %% [markdown]
# From SIGTERM on the process says "not ready", and for one second more it takes what comes: three requests. Then it
# drains. Nobody suffers; the price is that it leaves later.
#
# One deploy is one moment. Move SIGTERM: how long must the delay be so that *whenever* the signal comes nobody suffers?


# %%
def moved(delay=0.0, sigterm=3.2):
    return drawn(with_delay(delay, sigterm))


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
# asks every 2 s, so 2 s. In production the lag is the sum of several: the interval of the health check, times how many
# failures it wants to see, plus the time until every proxy has heard.
#
# </details>
#
# ## What if one never ends?
#
# One request in thousands hangs. Three are in flight at SIGTERM here; the third will never be answered. Each handler
# holds a connection and gives it back in the end, which takes 0.8 s.


# %%
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
        await leave(tasks)
        mark("gone")

    return simulate(process, world=world, catch=True)


# %%
async def wait_for_all(tasks):
    await asyncio.wait(tasks)


def when_gone(leave):
    marks = three_requests(leave).timeline.marks("gone")
    return round(marks[0].at, 1) if marks else "never"


predict(
    "Requests 1 and 2 end after 0.9 s and 1.7 s, and clean up for 0.8 s. When is the process gone?",
    {"after 1.7 s": 1.7, "after 2.5 s": 2.5, "after 30 s": 30.0, "never": "never"},
    lambda: when_gone(wait_for_all),
    why="`asyncio.wait` waits for all of them. In production somebody else ends this: after a grace period comes "
    "SIGKILL, which no code can handle, and everything still open is lost.",
)

# %% [markdown]
# So draining needs an end: the **drain timeout**. After it the late ones are cancelled. The next cell does just that.
# Has request 3 given its connection back when the process is gone?


# %%
async def cancel_and_go(tasks):
    _, late = await asyncio.wait(tasks, timeout=3)
    for task in late:
        task.cancel()


show(
    lanes(three_requests(cancel_and_go).timeline, lines=["SIGTERM", "gone"], order=["process"], until=5),
    fold="What happens",
)

# %% [markdown]
# It hasn't: its cleanup begins when everything ends, and gets no answer any more. `task.cancel()` doesn't end a task,
# it *asks*: at its next turn the task gets a `CancelledError` where it waits, and then its `finally` needs time of its
# own. Nobody gave it any.
#
# **Warm-up: the cancel nobody awaited.** One line is missing below. Mend it, and run the cell again.


# %%
async def mend_the_cancel(tasks):
    _, late = await asyncio.wait(tasks, timeout=3)
    for task in late:
        task.cancel()


def cleaned_up():
    run = three_requests(mend_the_cancel)
    calls = run.timeline.calls("cleanup", lane="request 3")
    through = [call for call in calls if call.outcome == "ok"]
    return "" if through else "request 3 was cancelled, and the process was gone before it had cleaned up."


_ = mended(
    cleaned_up,
    well="Mended: the process waits until the cleanup is through, too.",
    hint="What waits for tasks that are in a set? It also works for tasks that were cancelled.",
    picture=lambda well: lanes(three_requests(mend_the_cancel).timeline, lines=["SIGTERM", "gone"], until=5),
)

# %% [markdown]
# ## In which order to close
#
# When the last request is through, what the requests used is closed: a cache that writes its last entries to the
# database, the database itself. They were opened in that order: first what the others rest on.
#
# **Warm-up: mend the close order.** What is wrong with this one?


# %%
async def mend_the_order(opened):
    """Close what was opened; `opened` has the database first, then the cache."""
    for close in opened:
        await close()


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
    return "" if closed == ["cache", "database"] else f"closed was only: {', '.join(closed) or 'nothing'}"


_ = mended(
    closed_in_order,
    well="Mended: the cache first, then what it rests on.",
    hint="What was opened first is closed last; `reversed` goes through a list so.",
)

# %% [markdown]
# One more thing, for the exercise: if closing the cache fails, the database must be closed all the same.
#
# ## asyncio you need
#
# **1. `asyncio.wait(tasks, timeout=...)`** returns two sets, those that are done and those that are late. It cancels
# nobody and raises nothing, neither a TimeoutError nor what a task raised. (`gather` and `wait_for` do both.)


# %%
async def wait_for_three():
    tasks = {asyncio.create_task(asyncio.sleep(lasts), name=f"{lasts:g} s") for lasts in (0.5, 1.0, 3.0)}
    done, late = await asyncio.wait(tasks, timeout=1.5)
    mark(f"{len(done)} done, {len(late)} late", lane="wait")
    await asyncio.wait(late)


show(simulate(wait_for_three()).timeline, alt="wait returns at 1.5 s: two tasks are done; the third goes on to 3 s.")

# %% [markdown]
# **2. `asyncio.shield`.** Two callers await the same task. One of them gives up. What becomes of the task, and of the
# other caller?


# %%
async def two_callers(guard):
    """Two callers of one task; after 1 s the first one is cancelled."""

    async def caller():
        try:
            await guard(shared)
            mark("has it")
        except asyncio.CancelledError:
            mark("cancelled")

    shared = asyncio.create_task(asyncio.sleep(2), name="shared task")
    first, second = (asyncio.create_task(caller(), name=name) for name in ("caller 1", "caller 2"))
    await asyncio.sleep(1)
    first.cancel()
    await asyncio.wait({first, second})


def bare(task):
    return task


# %%
CALLERS = {"order": ["two_callers", "shared task"], "until": 2.2, "legend": False}

show(simulate(two_callers(bare)).timeline, title="await task", **CALLERS)
show(simulate(two_callers(asyncio.shield)).timeline, title="await asyncio.shield(task)", **CALLERS)

# %% [markdown]
# Without the shield, cancelling a caller cancels what it awaits, and with that everybody who awaits it. The shield
# keeps the cancellation on the caller's side. For `handle` the first is what you want (a client that disconnects shall
# take its handler along), for several callers of one `shutdown()` the second.
#
# **3. `loop.add_signal_handler(signal.SIGTERM, function)`** calls an ordinary function, between two steps of the loop.
# So it only sets an event or starts a task, as on the stage above. In the exercise somebody else does this: your server
# only has to know how to leave.

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
# **Serving.** `handle` awaits `handler(request)` and returns its answer, any number of them side by side. An error of
# the handler goes to its caller. A client that disconnects (its call of `handle` is cancelled) cancels its handler.
# However a request ends, `in_flight` forgets it.
#
# **Draining.** From `shutdown()` on the server leaves:
#
# 1. `ready` is False at once. For `readiness_delay` seconds more it still accepts work: the load balancer hears late.
# 2. Then it drains: what is in flight goes on, and `handle` raises `Rejected` at once, now and for ever after.
#    As soon as nothing is in flight, it goes on to 4.
# 3. `drain_timeout` seconds after the drain began (one deadline for all) it cancels the rest, **and awaits their
#    cleanup**.
# 4. It calls and awaits `on_close`, one after the other in reverse order. If one fails, the others still run.
# 5. The report says what happened:
#
# | | |
# |---|---|
# | `.completed` | how many of the requests it drained ended by themselves; with an error counts too |
# | `.cancelled` | how many it had to cancel, however these ended |
# | `.duration` | seconds from the first call of `shutdown()` to the end |
# | `.close_errors` | a list: what `on_close` raised, in the order of closing |
#
# **Again.** `shutdown()` may be called more than once, before the end or after it. Every caller gets the same report;
# nothing is done twice.
#
# Left open: clients that disconnect during the drain, a caller of `shutdown()` that is cancelled, whether work that
# came and went during the readiness delay is counted. `Rejected` is given; what the report is made of is up to you.
#
# Take it in steps: `check("shutdown", step=1)` judges Serving alone, 2 Draining, 3 Deadline, 4 Closing, 5 Readiness,
# 6 Again.

# %% [markdown]
# <details><summary>Hint 1: what to remember</summary>
#
# Three things live as long as the server: the tasks that are in flight (a set), whether it still accepts, and the one
# task that does the leaving. `ready` and "accepts" are two flags, not one.
#
# </details>
#
# <details><summary>Hint 2: who does the waiting</summary>
#
# Run each handler in a task of its own, keep it in the set, let `add_done_callback` take it out. `asyncio.wait(tasks,
# timeout=...)` gives you those that are late; cancel them, then `asyncio.wait` once more for these. Let `shutdown()`
# start *one* task that does all of this, and return something that each caller can await.
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
# `asyncio.wait` refuses an empty set: ask first.
#
# </details>


# %% exercise="shutdown"
class GracefulServer:
    """Serves requests, and leaves without dropping any; `on_close` are callables that return awaitables."""

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
        """Run `handler(request)` and return its answer; raise Rejected when it is too late for that."""
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
        """Leave. Returns something to await: the report, the same for every caller."""
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
# The stage of the beginning, and your server on it, with the delay that the balancer needs. Before it was written the
# deploy cut off or refused requests; now?


# %%
def yours(handler):
    return GracefulServer(handler, readiness_delay=2.0, drain_timeout=5.0)


if hasattr(GracefulServer(print), "ready"):
    show(drawn(deploy(yours), "Your own server"))
else:
    print("There is nothing to see yet: come back when your server serves.")

# %% [markdown]
# ## What practitioners use
#
# Nobody writes this class anew for each service: web servers bring it along. So let us see one leave, on the real
# clock, with a real signal. The cell starts [uvicorn](https://www.uvicorn.org) in a process of its own, with one second
# for the drain (`timeout_graceful_shutdown=1`; without it uvicorn waits for ever). The application cleans up for 0.3 s
# when it is cancelled.

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


# %%
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


# %% [markdown]
# Three clients: one asks for 0.5 s of work and one for 60 s, both before the signal; the third comes a moment after it.
# What will each of them see? And will the application say that it has cleaned up?


# %%
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


if sys.platform in ("linux", "darwin"):
    saw, said = await real_deploy()
    print(*saw, "", *said, sep="\n")
else:
    print("This cell needs a system with processes and SIGTERM: Linux or macOS.")

# %% [markdown]
# * `/0.5` was in flight and was served to its end: uvicorn drains.
# * `/0.1` came after the signal and wasn't even connected: uvicorn closes its listening socket at once. It has no
#   readiness delay, so somebody else must bring one (see below).
# * `/60` was cancelled after a second, and its cleanup **began and never ended**: uvicorn 0.54 cancels the tasks and
#   doesn't await them. "Everything is closed" comes while the handler still cleans up. It is the cancel nobody awaited.
#   What must not be lost should be awaited in the part of the app that closes things (`"lifespan"`, above): uvicorn
#   does wait for that.
#
# **Kubernetes**, in words. When a pod is to go, two things begin at the same time: it is taken out of the list that the
# proxies send to (its *endpoints*), and the container is told to stop. Nobody waits until all proxies have heard. Then:
#
# | when | what | who decides |
# |---|---|---|
# | at once | the grace period begins: `terminationGracePeriodSeconds`, 30 s unless set | the pod's specification |
# | first | the `preStop` hook runs, if there is one, and its time counts | the same |
# | when that has ended | SIGTERM | your process: readiness delay, drain, close |
# | at the end of the grace period | SIGKILL, which nobody can handle | Kubernetes |
#
# A `preStop` hook that only sleeps *is* a readiness delay, for servers that have none. (Sources: Kubernetes
# documentation, [Pod Lifecycle](https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination) and
# [Container Lifecycle Hooks](https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/);
# [uvicorn's settings](https://www.uvicorn.org/settings/).)

# %%
estimate(
    "terminationGracePeriodSeconds is 30, preStop sleeps 10 s, closing takes up to 3 s. How long may the drain be?",
    lambda: 30 - 10 - 3,
    unit="s",
    why="Everything has to fit into the one grace period, the hook included. A drain timeout of 25 s looks "
    "harmless and ends in SIGKILL, exactly on the day when requests hang.",
)

# %% [markdown]
# <details><summary>Code review: what else is wrong with the class of fifteen lines</summary>
#
# * **Two callers.** SIGTERM twice, or SIGTERM and a health endpoint: it drains twice and closes twice.
# * **Work that isn't a request.** `asyncio.create_task` for a mail "in the background" is in nobody's set: it dies
#   without a word. Put such tasks into a set as well, or into a TaskGroup that the drain awaits.
# * **Work that never ends by design.** Websockets, long polls, streams: no drain timeout is long enough. They must be
#   told to end ("reconnect, please") when `ready` becomes False.
# * **Work that is pulled.** A consumer of a queue has no load balancer: it stops fetching first, then finishes, and
#   acknowledges a message only after its work.
# * **Idle connections.** A keep-alive connection isn't in flight, and the next request on it may come at any moment:
#   answers during the readiness delay should carry `Connection: close`.
# * **Cleanup that hangs.** Awaiting it is right, awaiting it for ever isn't. The exercise leaves that end open; a real
#   server gives cleanup and closing a limit of their own, and lets the grace period be the last one.
# * **`asyncio.run` as a safety net.** At its end it cancels what is left and awaits it: after everything was closed.
# * **The signal never arrives.** `sh -c "python app.py"` as a container's command makes the shell process 1, and it
#   need not pass SIGTERM on. Start the program itself (`exec python app.py`).
# * **It gets killed anyway.** Power cuts don't send SIGTERM. Whatever must survive has to survive SIGKILL too; a
#   graceful shutdown makes deploys unnoticeable, and never is what correctness rests on.
#
# </details>
#
# <details><summary>Questions</summary>
#
# 1. *The database is unreachable at SIGTERM, and closing it takes until its timeout of 60 s. What do your clients
#    notice?* Nothing: they were drained before. But the grace period runs out, and SIGKILL takes what `on_close` hadn't
#    come to.
# 2. *Liveness, readiness: which one must answer "no" while the server drains?* Readiness. A failing liveness check
#    would have the process restarted in the middle of its drain.
# 3. *Why is a request that was cut off worse than one that was refused?* A refused one has certainly not been done, so
#    it may be sent again. With one that was cut off nobody knows, so repeating it needs an idempotency key.
# 4. *Requests take 50 ms at most. Is a drain needed?* Yes, a short one; the refused requests of the first picture
#    didn't depend on how long a request takes at all.
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
# | telling everybody that it is time | `tokio_util::sync::CancellationToken` |
# | `finally` with an `await` in it | there is none: dropping a future is the end of it, and `Drop` can't await |
#
# The last row is the difference that matters: a task that is aborted gets no time for a cleanup that awaits. So in Rust
# one *asks* with a token, the task ends by itself, and aborting is what is left for those that don't listen.
#
# </details>
