# %% [markdown] lecture="Complete Resilient Service Example"
# # A complete service
#
# **In which order?** You have all the parts: retry, circuit breaker, bulkhead, timeout. Now put each around the next.
# Their order decides more than any of their numbers. About 25 minutes to read and try, and 60 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from statistics import median

import httpx2
import ipywidgets
import stamina
import traitlets
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from autograder import check
from faultlab import World, axes, error, hang, live, mark, ok, show, simulate
from faultlab.explore import explore
from faultlab.lanes import lanes
from faultlab.notebook import start
from faultlab.raster import Interval, slots
from faultlab.sheet import Bar, Sheet, Text
from faultlab.warmup import arrange, estimate, mended, predict

start()

# %% [markdown]
# ## A puzzle: two services of the same parts
#
# Two teams have the same four parts, with the same settings:
#
# | part | what it promises | setting |
# |---|---|---|
# | timeout | no attempt takes longer than this | 5 s |
# | retry | a failed attempt is tried again | 4 attempts, pauses of 0.1, 0.2 and 0.4 s |
# | breaker | a backend that keeps failing isn't called | 5 consecutive failures, 30 s |
# | bulkhead | at most this many requests run at once | 100 slots |
#
# One night their backend accepts every call and never answers. Team B's service says "not now" after five seconds, and
# from then on at once; its users see yesterday's list. In team A's office the phones ring. No part has a bug, and no
# setting differs. **What did the teams do differently?**

# %%
import asyncio
import random

# %% [markdown]
# ## The pattern
#
# Here are the four parts, each as short as it can be. (The breaker follows the lecture: it counts consecutive failures,
# and then rejects calls for a while. The parts that you wrote in the exercises can do more, but for the *order* these
# are enough.)


# %%
async def small_timeout(op, seconds=5):
    async with asyncio.timeout(seconds):
        return await op()


async def small_retry(op, attempts=4, retry_on=(ConnectionError, TimeoutError), base=0.1):
    for n in range(attempts):
        try:
            return await op()
        except retry_on:
            if n == attempts - 1:
                raise
        await asyncio.sleep(base * 2**n)


async def small_bulkhead(op, permits):
    async with permits:
        return await op()


# %%
class CircuitIsOpen(Exception):
    pass


class SmallBreaker:
    def __init__(self, threshold=5, is_failure=lambda problem: True):
        self.threshold, self.is_failure = threshold, is_failure
        self.failures, self.open_until = 0, 0.0

    async def call(self, op):
        clock = asyncio.get_running_loop().time
        if clock() < self.open_until:
            raise CircuitIsOpen
        try:
            result = await op()
        except Exception as problem:
            self.failures += self.is_failure(problem)
            if self.failures >= self.threshold and clock() >= self.open_until:
                self.failures, self.open_until = 0, clock() + 30
                mark("state", "open", lane="breaker")
            raise
        self.failures = 0
        return result


# %% [markdown]
# All parts have one thing in common: each takes an operation and runs it with some protection. The result is an
# operation again, which the next part can take. So **a service is a stack of layers, each around the next, and a layer
# sees only what the layers inside it let through.**


# %%
def small_parts(slots=100, threshold=5):
    return {
        "retry": small_retry,
        "breaker": SmallBreaker(threshold).call,
        "bulkhead": partial(small_bulkhead, permits=asyncio.Semaphore(slots)),
        "timeout": small_timeout,
    }


def layered(order, op, parts):
    """Put these parts around `op`, the first one outermost."""
    for name in reversed(order.split(" > ")):
        op = partial(parts[name], op)
    return op


# %% [markdown]
# Two layers around a backend that fails once, `layered("retry > timeout", backend, small_parts())`:


# %% tags=["plumbing"] jupyter={"source_hidden": true} cover="true"
def two_layers():
    world = World()
    backend = world.service("backend", [error("ConnectionError")], latency=0.2)

    async def request():
        await asyncio.create_task(layered("retry > timeout", backend, small_parts())(), name="request")

    return simulate(request, world=world).timeline


show(two_layers(), title="What becomes of one failure? retry > timeout", order=["request"])

# %% [markdown]
# ## The lecture's listing
#
# The lecture's last listing puts everything together. First the state that all requests share:


# %% lecture="AppState"
@dataclass
class LectureAppState:
    db: Callable
    metrics: list = field(default_factory=list)
    rate_limiter: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(100))
    circuit_breaker: SmallBreaker = field(default_factory=SmallBreaker)


# %% [markdown]
# Then the handler that runs for each request, with the layers written out:


# %% lecture="get_user_handler"
async def lecture_get_user_handler(user_id, state):
    clock = asyncio.get_running_loop().time
    start, good = clock(), False

    async def fetch_user_with_timeout():
        async with asyncio.timeout(5):
            return await state.db(user_id)

    try:
        async with state.rate_limiter:  # Rate limiting
            user = await state.circuit_breaker.call(  # Circuit breaker
                lambda: small_retry(fetch_user_with_timeout, attempts=1 + 3)  # Retry logic
            )
        good = True
        return user
    finally:
        state.metrics.append((clock() - start, good))  # Record metrics


# %% [markdown]
# And `main`, which makes it a web service: two routes, and a layer that notes every request ("tracing"). Starlette
# takes the place of axum.


# %% lecture="main, the service"
def lecture_main(db, trace):
    state = LectureAppState(db)

    async def users(request):
        try:
            return JSONResponse(await lecture_get_user_handler(request.path_params["id"], state))
        except Exception as problem:
            return JSONResponse({"error": repr(problem)}, 500)

    async def health(request):
        good = sum(good for _, good in state.metrics)
        healthy = good >= 0.95 * len(state.metrics)
        return JSONResponse({"healthy": healthy, "requests": len(state.metrics)}, 200 if healthy else 503)

    app = Starlette(routes=[Route("/users/{id:int}", users), Route("/health", health)])

    async def traced(scope, receive, send):
        async def noted(message):
            if message["type"] == "http.response.start":
                trace(f"{scope['method']} {scope['path']} -> {message['status']}")
            await send(message)

        await app(scope, receive, noted)

    return traced


# %% [markdown]
# It works, and not only on the virtual clock. `over_http` (in the folded cell) starts a real server on a free port of
# this machine, asks it with a real client, and stops it. The database has a bad moment: its second answer is an error.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def over_http(app, paths):
    """Serve an ASGI app on a free port, get these paths, and stop the server, whatever the client raises."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as web:
            return [(await web.get(path)).text for path in paths]
    finally:
        server.should_exit = True
        await serving


# %%
notes = []
house = World()
database = house.service("database", [ok({"name": "Ada"}), error("ConnectionError"), ok({"name": "Bob"})], latency=0.02)
real = await live(over_http(lecture_main(database, notes.append), ["/users/1", "/users/2", "/health"]), world=house)
for note, body in zip(notes, real.value, strict=True):
    print(note, body)
print(f"calls of the database: {len(real.timeline.calls())}")

# %% [markdown]
# Two requests, three calls: the retry did its work, and no client heard of the error.
#
# ## One thing changes: the backend hangs
#
# Back to the virtual clock, and to the puzzle. From the outside in, this handler's order is
# `bulkhead > breaker > retry > timeout`. A request comes every 50 ms. The backend accepts each call and never answers.
# (`night` in the folded cell plays this for any order of the layers.)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def night(order, seconds, threshold=5):
    """Send twenty requests a second to a backend that hangs; marks say when each comes and when it is answered."""
    world = World()
    backend = world.service("backend", then=hang())

    async def request(service):
        mark("comes")
        with contextlib.suppress(Exception):
            await service()
        mark("answered")

    async def doors_open():
        service = layered(order, backend, small_parts(threshold=threshold))
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for number in range(1, 20 * seconds + 1):
                group.create_task(request(service), name=f"request {number}")
                await asyncio.sleep(0.05)

    return simulate(doors_open, world=world, catch=True).timeline


# %% [markdown]
# An error is an answer too, if it comes in time: the user can do something else. So **how many requests have had any
# answer, good or bad, after twenty seconds?**

# %% tags=["plumbing"] jupyter={"source_hidden": true}
LECTURES_ORDER = "bulkhead > breaker > retry > timeout"
twenty_seconds = night(LECTURES_ORDER, 20)
estimate(
    "Twenty seconds, 400 requests. How many of them have had any answer, good or bad?",
    lambda: len(twenty_seconds.marks("answered")),
    why="The first request is still in its fourth attempt. It fails after 4 × 5 + 0.1 + 0.2 + 0.4 = 20.7 s, and "
    "only then does the breaker hear of a failure. A hundred requests hold the slots, and the other three hundred wait. "
    "A hundred slots, each held for 20.7 s, serve 100 / 20.7 = 4.8 requests a second, on any machine.",
)

# %% [markdown]
# In the end the breaker opens. But suppose that a success now and then keeps it closed. Then two minutes look like
# this:

# %%
two_minutes = night(LECTURES_ORDER, 120, threshold=10_000)
came, answered = len(two_minutes.marks("comes")), len(two_minutes.marks("answered"))
print(f"{came} requests came, {answered} were answered, 100 hold a slot, {came - answered - 100} wait")

# %% [markdown]
# ### What the breaker sees
#
# Now take a backend that is simply dead: every call fails after 50 ms. The circuit opens after 5 failures. Requests
# come one after the other. **How many calls does the dead backend get before the circuit opens?** (`sick` in the folded
# cell plays a dozen requests in any order of the layers.)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def sick(order, hangs=False):
    """Send a dozen requests, one after the other, to a sick backend; marks say when a slot is held."""
    world = World()
    backend = world.service("backend", then=hang() if hangs else error("ConnectionError"), latency=0.05)

    async def holding(op):
        mark("slot taken")
        try:
            return await op()
        finally:
            mark("slot given back")

    async def one_by_one():
        parts = small_parts()
        guard = parts["bulkhead"]
        service = layered(order, backend, parts | {"bulkhead": lambda op: guard(partial(holding, op))})
        for _ in range(12):
            with contextlib.suppress(Exception):
                await service()

    return simulate(one_by_one, world=world).timeline


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def until_open(timeline):
    """Return how many attempts came before the circuit opened, and when it did; None if it never did."""
    opened = next((change.at for change in timeline.marks("state") if change.value == "open"), None)
    return None if opened is None else (sum(call.start < opened for call in timeline.calls()), opened)


estimate(
    "In the lecture's order, after how many attempts does the circuit open?",
    lambda: until_open(sick(LECTURES_ORDER))[0],
    why="The breaker is outside the retries, so it sees one failure per request. Five failures are five requests of "
    "four attempts each, and they take 4.5 s. The parameter says 5, and the backend gets 20.",
)

# %% [markdown]
# ### Asleep in a slot
#
# One more look, at the outermost layer. There are two slots and a dead backend. The pauses are longer here, so that you
# can see them. **A request holds its slot for a while: for what share of that time is it asleep?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def rush_hour(order):
    """Send four requests through two slots to a dead backend; return the timeline, and when each held which slot."""
    world = World()
    backend = world.service("backend", then=error("ConnectionError"), latency=0.4)
    free, held = [1, 2], []

    async def holding(op):
        clock, slot = asyncio.get_running_loop().time, free.pop(0)
        began = clock()
        try:
            return await op()
        finally:
            free.append(slot)
            held.append((slot, asyncio.current_task().get_name(), began, clock()))

    async def request(service):
        with contextlib.suppress(Exception):
            await service()

    async def rush():
        permits = asyncio.Semaphore(2)
        parts = {
            "retry": partial(small_retry, attempts=3, base=0.8),
            "bulkhead": lambda op: small_bulkhead(partial(holding, op), permits),
        }
        service = layered(order, backend, parts)
        await asyncio.gather(*(asyncio.create_task(request(service), name=f"request {n}") for n in range(1, 5)))

    return simulate(rush, world=world).timeline, held


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def in_slots(order):
    """Return the attempts and the sleeps in each slot, as intervals."""
    timeline, held = rush_hour(order)
    bars = []
    for slot, who, at, over in held:
        for call in timeline.calls(lane=who):
            if at <= call.start < over:
                bars += [Interval(f"slot {slot}", "asleep", at, call.start)] if call.start > at + 1e-6 else []
                bars += [Interval(f"slot {slot}", "attempt", call.start, call.end)]
                at = call.end
    return bars


def slots_picture(order):
    looks = {"attempt": "attempt", "asleep": "sleep"}
    return slots(in_slots(order), title=f"Who holds the two slots? {order}", until=9, tenants=looks)


def asleep(order):
    """Return the share of the slots' time in which their requests only sleep, in per cent."""
    bars = in_slots(order)
    slept = sum(bar.end - bar.start for bar in bars if bar.tenant == "asleep")
    return 100 * slept / sum(bar.end - bar.start for bar in bars)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "The order is `bulkhead > retry`. What share of the slots' time is spent asleep?",
    lambda: asleep("bulkhead > retry"),
    unit="%",
    why="Three attempts of 0.4 s and two pauses of 0.8 and 1.6 s: two thirds of the time.",
    picture=lambda _: slots_picture("bulkhead > retry"),
)

# %% [markdown]
# A slot is there to protect the backend, and a sleeping request does nothing to the backend. With the two layers
# swapped, a request takes a slot for each attempt and gives it back before it sleeps:

# %% tags=["plumbing"] jupyter={"source_hidden": true}
show(slots_picture("retry > bulkhead"))

# %% [markdown]
# ## Warm-up 1: the order
#
# Now it is your turn. There are three wishes: a **dead** backend is left alone after 5 attempts; so is a backend that
# **hangs**; and no request keeps a slot while it sleeps. (More than one order grants all three.)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
LAYERS = [
    "retry      tries again, with pauses",
    "bulkhead   takes a slot, gives it back",
    "breaker    counts failures, rejects",
    "timeout    5 s",
]


def order_trial(text):
    """Say what is wrong with this order of the layers, from the outside in."""
    order = " > ".join(line.split()[0] for line in text.splitlines())
    for hangs, kind in ((False, "is dead"), (True, "hangs")):
        found = until_open(sick(order, hangs))
        if found is None:
            return f"{order}: a backend that {kind} never opens the circuit, not even after a dozen requests."
        if found[0] != 5:
            return f"{order}: a backend that {kind} gets {found[0]} attempts before the circuit opens."
    if order.index("bulkhead") < order.index("retry"):
        return f"{order}: a request that sleeps keeps its slot."
    return ""


# %% tags=["plumbing"] jupyter={"source_hidden": true}
arrange(
    "Put the layers in order, the outermost first.",
    LAYERS,
    order_trial,
    why="The breaker must be inside the retries, so that it counts attempts. It must be outside the timeout, so that a "
    "timeout counts as a failure. This bulkhead lets every request wait, so it only has to be inside the retries. A "
    "bulkhead that rejects, like the exercise's, must also be outside the breaker. Inside it, the exercise's breaker "
    "counts each rejection as a failure, or (with `is_failure`) as a success that resets the count.",
)

# %% [markdown]
# ### A stack to play with
#
# Each button lifts its layer by one. The numbers are measured anew each time, with the parts from above. **Which orders
# never open the circuit of a backend that hangs, and what do they have in common?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class Stack(ipywidgets.VBox):
    """Four buttons, one for each layer, the outermost on top; a press lifts its layer."""

    value = traitlets.Unicode()

    def __init__(self, order):
        self.rows = [ipywidgets.Button(layout={"width": "200px"}) for _ in order.split(" > ")]
        for place, row in enumerate(self.rows):
            row.on_click(partial(self.lift, place))
        super().__init__(self.rows, value=order)
        self.lift(0)

    def lift(self, place, _=None):
        names = self.value.split(" > ")
        names.insert(max(place - 1, 0), names.pop(place))
        for row, name in zip(self.rows, names, strict=True):
            row.description = row.tooltip = f"↑ lift {name}"
        self.rows[0].description = self.rows[0].tooltip = f"{names[0]} (outermost)"
        self.value = " > ".join(names)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def measured(order, hangs):
    """Return in words: the attempts until the circuit opens, when it opens, and how long a slot is held at most."""
    timeline = sick(order, hangs)
    taken = [mark.at for mark in timeline.marks("slot taken")]
    given = [mark.at for mark in timeline.marks("slot given back")]
    longest = max(after - before for before, after in zip(taken, given, strict=True))
    found = until_open(timeline)
    attempts = f"{found[0]} attempts" if found else "never"
    opens = f"until the circuit opens at {found[1]:.4g} s" if found else "the circuit stays closed"
    return attempts, opens, f"{longest:.3g} s"


# %% tags=["plumbing"] jupyter={"source_hidden": true}
STACK_TITLE = "What does a sick backend do to a service in this order?"


def stack_picture(order=LECTURES_ORDER):
    shapes, names = [Text(8, 16, STACK_TITLE, 13, bold=True)], order.split(" > ")
    for depth, name in enumerate(names):
        inset = 22 * depth
        shapes.append(Bar(8 + inset, 34 + inset, 340 - 2 * inset, 210 - 2 * inset, "meant_cancelled"))
        shapes.append(Text(18 + inset, 50 + inset, name, 12, bold=True))
    shapes.append(Text(178, 146, "the backend", 12, "middle"))
    said = []
    for row, (kind, hangs) in enumerate({"The backend is dead:": False, "The backend hangs:": True}.items()):
        y, (attempts, opens, held) = 62 + 100 * row, measured(order, hangs)
        shapes += [
            Text(372, y, kind, 12),
            Text(372, y + 30, attempts, 22, bold=True),
            Text(580, y + 30, held, 22, bold=True),
        ]
        shapes += [Text(372, y + 48, opens, 11), Text(580, y + 48, "longest stay in a slot", 11)]
        said.append(f"{kind} {attempts}, {opens}; the longest stay in a slot is {held}.")
    return Sheet(720, 258, tuple(shapes), STACK_TITLE, " ".join(said))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
explore(
    stack_picture,
    alt="Four boxes inside each other around the backend, and what a dead and a hanging backend do to them.",
    labels={"order": "this order:"},
    order=Stack(LECTURES_ORDER),
)

# %% [markdown]
# <details><summary>What you can find</summary>
#
# The circuit stays closed forever wherever the timeout is *outside* the breaker. The timeout cancels everything inside
# it, and a cancelled call is no verdict: for all the breaker knows, the user has left. Inside the breaker the same
# timeout is a `TimeoutError`, and that is a failure. If the timeout is outside the retries, all four attempts share its
# 5 s.
# </details>

# %% [markdown]
# Team B chose the order that you found in the warm-up. Compare its night with that of team A: **when does the number of
# requests without an answer stop growing?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
INTENDED = "retry > bulkhead > breaker > timeout"


def without_answer(timeline):
    changes = sorted(
        [(one.at, 1) for one in timeline.marks("comes")] + [(one.at, -1) for one in timeline.marks("answered")]
    )
    return [at for at, _ in changes], list(accumulate(change for _, change in changes))


def two_nights():
    fig, ax = axes("When does the line of waiting requests stop growing?", "seconds", "requests without an answer")
    ax.step(*without_answer(night(LECTURES_ORDER, 30)), where="post", color="#222222", linestyle="-")
    ax.text(0, 330, f"team A:\n{LECTURES_ORDER}", color="#222222", fontsize=9)
    ax.step(*without_answer(night(INTENDED, 30)), where="post", color="#7B4FA3", linestyle="-")
    ax.text(8.6, 60, f"team B:\n{INTENDED}", color="#7B4FA3", fontsize=9)
    return fig


show(
    two_nights(),
    alt="Requests without an answer: team A's rise to 400 in 20 s, team B's to 100 in 5 s, and then fall.",
    fold="What happens",
)

# %% [markdown]
# <details><summary>What the picture shows</summary>
#
# After 5 s team B's first attempts time out. Five of them open the circuit, and from then on every request hears "not
# now" within a moment. Team A's breaker sees its fifth failure only after 20.9 s; then the three hundred requests that
# wait are rejected together. Same parts, same numbers.
# </details>

# %% [markdown]
# ## asyncio you need
#
# **Two timeouts, one inside the other.** One second for each attempt, 2.5 s for everything. Both timeouts cancel the
# code inside them. But each turns only *its own* cancellation into a `TimeoutError`, at its own `async with`. So the
# retry inside sees two `TimeoutError`s, which it may catch, and then a cancellation, which it must not catch:


# %%
async def three_attempts(backend):
    for number in (1, 2, 3):
        try:
            async with asyncio.timeout(1):
                return await backend.for_lane(f"attempt {number}")()
        except TimeoutError:
            mark("caught")


async def within_the_deadline(backend):
    try:
        async with asyncio.timeout(2.5):
            await three_attempts(backend)
    except TimeoutError:
        mark("deadline")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def two_timeouts():
    world = World()
    backend = world.service("backend", then=hang())

    async def run_it():
        await asyncio.create_task(within_the_deadline(backend), name="request")

    return simulate(run_it, world=world).timeline


show(two_timeouts(), title="Which of the two timeouts ends which attempt?", order=["request"])

# %% [markdown]
# **A layer wants something to call, not something to await.** `retry(fetch(7))` hands over *one* coroutine, which can
# be awaited once. `retry(lambda: fetch(7))` hands over a recipe, and each attempt makes a new coroutine from it. Layers
# inside layers are recipes inside recipes: `retry(lambda: breaker.call(lambda: fetch(7)))`. Here is the wrong way: the
# backend fails once and would answer the second call. **How many calls does the backend get?**


# %%
async def one_coroutine(backend):
    once = backend()
    await small_retry(lambda: once)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def awaited_twice():
    world = World()
    backend = world.service("backend", [error("ConnectionError")], latency=0.2)

    async def request():
        await asyncio.create_task(one_coroutine(backend), name="request")

    return simulate(request, world=world, catch=True)


twice = awaited_twice()
predict(
    "`small_retry` makes up to four attempts. How many calls does the backend get?",
    [1, 2, 4],
    lambda: len(twice.timeline.calls()),
    why="The retry awaits the same coroutine a second time, but it is used up. "
    f"{type(twice.error).__name__}: {twice.error}.",
    picture=lambda _: lanes(twice.timeline, title="How many calls does the backend get?", order=["request"]),
)

# %% [markdown]
# **All of these are `OSError`.** `ConnectionError` and `TimeoutError` have the same parent, and Python takes the first
# `except` that fits:

# %%
print([kind.__name__ for kind in TimeoutError.__mro__])
print(
    issubclass(TimeoutError, OSError), issubclass(ConnectionError, OSError), issubclass(TimeoutError, ConnectionError)
)

# %% [markdown]
# ### Warm-up 2: fix the crawler's damage
#
# A crawler asks for six users that don't exist. Then a customer asks for a user that does exist, and hears that the
# circuit is open. The backend was healthy all the time. Two arguments are to blame: the retry has a wrong one,
# and the breaker lacks one. Fix both.


# %% toolkit="true"
class NotFound(Exception):
    """There is no user with this number: an answer, and not a failure of the backend."""

    def __init__(self, resource, key):
        super().__init__(f"{resource} {key!r} not found")
        self.resource, self.key = resource, key


# %%
def new_breaker():
    return SmallBreaker(threshold=5)


async def find_user(breaker, backend):
    return await small_retry(lambda: breaker.call(backend), retry_on=(Exception,))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def crawled():
    world = World()
    backend = world.service("backend", [error("NotFound", "user", number) for number in range(6)], latency=0.05)

    async def crawler_and_customer():
        breaker = new_breaker()
        for _ in range(6):
            with contextlib.suppress(Exception):
                await find_user(breaker, backend)
        return await find_user(breaker, backend)

    run = simulate(crawler_and_customer, world=world, errors={"NotFound": NotFound}, catch=True)
    if run.error is not None:
        return f"the customer got a {type(run.error).__name__}."
    calls = len(run.timeline.calls())
    return "" if calls == 7 else f"there were seven requests, but the backend was called {calls} times."


_ = mended(
    crawled,
    well='Fixed: "no such user" is an answer, both for the retry and for the breaker.',
    hint="The retry has a `retry_on`; the breaker has an `is_failure`, a function of the error. Which errors count as "
    "failures for each of them now? And what does `small_retry` do with a `CircuitIsOpen`?",
)

# %% [markdown]
# ### Warm-up 3: a deadline that is too short
#
# A deadline goes around everything, so it is outside the breaker too. Six requests come together and meet a backend
# that hangs. When all six have their answer, six more come. The deadline is 5 s, and the breaker opens after five
# failures. **How many of the twelve requests reach the backend, if each attempt may take 10 s?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def twelve(attempt_timeout):
    """Send six requests to a backend that hangs, and six more when those are answered; one of each is named."""
    world = World()
    backend = world.service("backend", then=hang())

    async def request(service):
        try:
            async with asyncio.timeout(5):
                await service()
        except Exception as problem:
            mark(type(problem).__name__)

    async def two_crowds():
        parts = small_parts() | {
            "retry": partial(small_retry, base=0.5),
            "timeout": partial(small_timeout, seconds=attempt_timeout),
        }
        service = layered(INTENDED, backend, parts)
        for crowd in ("each early one", "each late one"):
            names = [crowd, "", "", "", "", ""]
            await asyncio.wait([asyncio.create_task(request(service), name=name) for name in names])

    return simulate(two_crowds, world=world).timeline


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Each attempt may take 10 s. How many of the twelve reach the backend, and hang there?",
    [5, 6, 11, 12],
    lambda: len(twelve(attempt_timeout=10).calls()),
    why="All of them. The deadline ends each attempt from outside, so the breaker counts nothing and stays closed.",
)

# %% [markdown]
# Now each attempt may take one second. **When does each of the twelve have its answer?**

# %% tags=["plumbing"] jupyter={"source_hidden": true}
show(
    twelve(attempt_timeout=1),
    title="When does each of the twelve have its answer?",
    order=["each early one", "breaker", "each late one"],
    until=2,
    fold="What happens",
)

# %% [markdown]
# <details><summary>What the picture shows</summary>
#
# Six attempts time out after a second, which opens the circuit. Each of the early requests is rejected when it tries
# again. The late requests are rejected at once.
# </details>
#
# So the attempt's timeout must be shorter than the deadline, and short enough that all attempts fit into it.

# %% [markdown]
# ## Exercise: the whole service
#
# *7 points.* You are given `NotFound` from above, and full versions of the parts: `retry`, `CircuitBreaker` with
# `CircuitOpenError`, and `Bulkhead` with `BulkheadFull`. (They are worked answers to the exercises about them. If you
# still want to solve one of those yourself, do so before you open this cell.)
#
# ```
# await retry(op, max_attempts=4, base=0.1, cap=2.0, rng=None, deadline=None,
#             retry_on=(ConnectionError, TimeoutError))
# breaker = CircuitBreaker(failure_threshold=5, recovery_time=30.0, half_open_max=1,
#                          is_failure=lambda exc: True)
# await breaker.call(op)
# bulkhead = Bulkhead(max_concurrent, max_queue=0, max_wait=None)
# await bulkhead.run(op)
# ```

# %% toolkit="retry circuit_breaker bulkhead" jupyter={"source_hidden": true}


# %% [markdown]
# Write `UserService`. `fetch` is the backend, an async function. `record` is a plain function, such as the monitor's in
# the notebook about health.
#
# `handle(user_id)` awaits `fetch(user_id)` and returns a pair, **a status and a body for every end**:
#
# | what happened | status | body |
# |---|---|---|
# | `fetch` returned a value | 200 | the value, whatever it is |
# | `NotFound` | 404 | anything |
# | the connection stayed broken: the last attempt ended with a `ConnectionError` | 502 | anything |
# | the circuit is open, or the bulkhead is full | 503 | a dict with `retry_after`, seconds >= 0 |
# | the last attempt took longer than `attempt_timeout`, or the request longer than `deadline` | 504 | anything |
#
# * **Retries.** After a `ConnectionError` or a timeout the request makes another attempt, up to `max_attempts` in all.
#   `base`, `cap` and `rng` decide the pauses as in `retry`. An open circuit, a full bulkhead and `NotFound` are not
#   tried again.
# * **Time.** An attempt takes at most `attempt_timeout` seconds, a whole request at most `deadline` seconds, including
#   the pauses.
# * **The circuit.** `failure_threshold` counts consecutive failed *attempts*, over all requests. An attempt that hangs
#   is a failure. `NotFound` is no failure, and a rejection counts neither as failure nor as success. If requests come
#   one after the other, exactly `failure_threshold` attempts reach a dead backend. While the circuit is open, requests
#   end in 0 s. After `recovery_time` seconds one probe goes through.
# * **The bulkhead.** At most `max_concurrent` attempts run at once, and `max_queue` more may wait. No request keeps a
#   slot during a pause.
# * **Records.** Call `record(latency, ok)` once per request, even for a rejected one: with the seconds of the whole
#   request, and with `status < 500`. (After the exercise you will see which signals this is right for.)
# * **Cancelled requests** end at once, and the cancellation propagates. They free their slot, and the breaker counts
#   them neither as success nor as failure.
#
# **Promised**: `attempt_timeout < deadline`. **Left open**: other errors of `fetch`, and whether a cancelled request is
# recorded.


# %% exercise="service"
class UserService:
    """Fetch users from a backend that may fail, hang or be slow; `handle` always has an answer."""

    def __init__(self, fetch, record, *, attempt_timeout=1.0, deadline=5.0, max_attempts=4, base=0.1, cap=1.0,
                 failure_threshold=5, recovery_time=30.0, max_concurrent=10, max_queue=0, rng=None):  # fmt: skip
        ### BEGIN SOLUTION
        self.fetch, self.record = fetch, record
        self.attempt_timeout, self.deadline = attempt_timeout, deadline
        self.retrying = {"max_attempts": max_attempts, "base": base, "cap": cap, "rng": rng}
        self.bulkhead = Bulkhead(max_concurrent, max_queue=max_queue)
        self.breaker = CircuitBreaker(
            failure_threshold=failure_threshold,
            recovery_time=recovery_time,
            is_failure=lambda exc: not isinstance(exc, NotFound),
        )
        ### END SOLUTION

    async def handle(self, user_id):
        """Return the answer for this user: `(status, body)`."""
        ### BEGIN SOLUTION
        clock = asyncio.get_running_loop().time
        start = clock()
        status, body = await self._answer(user_id)
        self.record(clock() - start, status < 500)
        return status, body

    async def _answer(self, user_id):
        try:
            async with asyncio.timeout(self.deadline):
                return 200, await retry(lambda: self._with_slot(user_id), **self.retrying)
        except NotFound:
            return 404, None
        except CircuitOpenError as error:
            return 503, {"retry_after": error.retry_after}
        except BulkheadFull:
            return 503, {"retry_after": self.attempt_timeout}
        except TimeoutError:
            return 504, "no answer in time"
        except ConnectionError:
            return 502, "the backend can't be reached"

    async def _with_slot(self, user_id):
        return await self.bulkhead.run(lambda: self.breaker.call(lambda: self._attempt(user_id)))

    async def _attempt(self, user_id):
        async with asyncio.timeout(self.attempt_timeout):
            return await self.fetch(user_id)
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: one layer, one function</summary>
#
# Write the layers as small methods, from the inside out. The innermost makes one call of `fetch`. Each further method
# passes the one before it to a part: `self.breaker.call(lambda: ...)`. Start with two layers, look at the check, and
# add the next. Create the parts that all requests share (breaker, bulkhead) in `__init__`.
# </details>
#
# <details><summary>Hint 2: five questions that decide the order</summary>
#
# 1. What should the breaker count, attempts or requests?
# 2. Does a sleeping request need a slot?
# 3. Should the breaker hear of an attempt that was too slow? Of a request that the bulkhead rejected?
# 4. Which timeout is for one attempt, and which for everything?
# 5. Which code turns the errors that come out of the outermost layer into a status? Which class does each error have
#    there?
# </details>
#
# <details><summary>Hint 3: the lines, shuffled</summary>
#
# ```
# async with asyncio.timeout(self.attempt_timeout):
# return await self.bulkhead.run(lambda: self.breaker.call(lambda: self._attempt(user_id)))
# except CircuitOpenError as error:
# self.record(clock() - start, status < 500)
# is_failure=lambda exc: not isinstance(exc, NotFound),
# async with asyncio.timeout(self.deadline):
# return await self.fetch(user_id)
# return 503, {"retry_after": error.retry_after}
# return 200, await retry(lambda: self._with_slot(user_id), **self.retrying)
# except NotFound:
# return 504, "no answer in time"
# except BulkheadFull:
# return 404, None
# except TimeoutError:
# return 503, {"retry_after": self.attempt_timeout}
# ```
# </details>

# %% [markdown]
# Once your service passes, watch it at work in a new cell. Write `service = UserService(backend, print)` with a backend
# from `World().service("backend", ...)`, as in the cells above. Or put it behind the web server: `over_http` takes any
# ASGI app.

# %% [markdown]
# ## Which recording is right for which signal?
#
# Your service records every request, and a rejected one as `record(0.0, False)`. Is that right? Here is team B's night
# once more. No user got a value, and most requests were rejected:


# %%
def latencies(timeline):
    came = {one.lane: one.at for one in timeline.marks("comes")}
    return {one.lane: one.at - came[one.lane] for one in timeline.marks("answered")}


team_b = night(INTENDED, 30)
of_all = latencies(team_b)
of_called = [of_all[lane] for lane in {call.lane for call in team_b.calls()}]
print(f"all {len(of_all)} requests: median latency {median(of_all.values()):.2f} s")
print(f"the {len(of_called)} requests that reached the backend: median latency {median(of_called):.2f} s")

# %% [markdown]
# The worst night has the best median, because a rejection takes no time. So it depends on the signal:
#
# | signal | its question | a rejection is |
# |---|---|---|
# | error rate, for alarms and service levels | what do our users get? | a failed request: record it |
# | latency | how long does a served request take? | not a served request: leave it out |
# | readiness | can this process do its work now? | no evidence about the backend: leave it out |
#
# The exercise's `record` is right for the first signal only. For latency, leave the rejected requests out. For
# readiness, record *attempts* instead of requests, inside the breaker, where no rejection arrives.
#
# Readiness suffers most. While the circuit is open, nearly all records are rejections. A monitor that counts them as
# failures says "not ready". The load balancer then sends no requests, and without requests no probe finds out that the
# backend has recovered. You will see such a monitor in notebook 11: it still says "not ready" long after the database
# is back.

# %% [markdown]
# ## Code review
#
# <details><summary>What else would you say about the lecture's listing?</summary>
#
# * **`rate_limiter` limits no rate.** It is a semaphore, which limits how many requests run *at once*.
#   `AppError::RateLimited` is never returned, as `acquire` fails only on a closed semaphore. The queue in front of it
#   has no limit, and a request in it waits forever.
# * **Every error is the same.** The retry asks four times for a user that doesn't exist. Then the breaker counts a
#   failure, and five such users open the circuit for everybody else. A rejection is recorded as a failed request of
#   0 ms, so the average latency gets better as things get worse.
# * **No deadline for the request.** Four timeouts add up: 4 × 5 + 0.7 s.
# * **No way out.** There is no shutdown that drains, no readiness apart from health, and no limit for slow clients. And
#   `Database::connect().await.unwrap()` panics if the database is down: the service can't even start to say so, and is
#   restarted again and again.
# * **A path.** Since axum 0.8 a parameter is written `/users/{id}`; `/users/:id` panics at start.
# </details>

# %% [markdown]
# ## What practitioners use
#
# Libraries that build whole stacks agree on the essentials:
#
# | | from the outside in |
# |---|---|
# | resilience4j's documentation (Java) | retry > breaker > rate limiter > timeout > bulkhead |
# | .NET's standard resilience handler (Microsoft Learn) | bulkhead > total timeout > retry > breaker > attempt timeout |
#
# In both, the retry is outside the breaker and the attempt's timeout is inside it. They differ about the bulkhead:
#
# * .NET's bulkhead is outermost and limits *requests*, including those that sleep: the load on the service itself. Ours
#   limits the load on the backend. A service may have both.
# * resilience4j's bulkhead is inside the breaker. Its breaker can be told to *ignore* an exception, so that a rejection
#   counts neither as success nor as failure. Ours knows only success and failure, so our bulkhead must be outside.
#
# In Python you put the layers together by hand. `stamina` provides the outer one. It retries only the errors named in
# `on`:


# %%
async def with_stamina(backend):
    breaker = CircuitBreaker(failure_threshold=5)
    for number in range(1, 4):
        try:
            async for attempt in stamina.retry_context(on=(ConnectionError, TimeoutError), attempts=4, timeout=5):
                with attempt:
                    await breaker.call(partial(small_timeout, backend))
        except (ConnectionError, CircuitOpenError) as problem:
            print(f"request {number}: {type(problem).__name__}")


stamina.instrumentation.set_on_retry_hooks([])  # it logs each retry otherwise
stamina_world = World()
dead = stamina_world.service("backend", then=error("ConnectionError"), latency=0.05)
stamina_run = simulate(lambda: with_stamina(dead), world=stamina_world)
print(f"attempts: {len(stamina_run.timeline.calls())}")

# %% [markdown]
# Many services have the stack outside the process: in a service mesh, a proxy beside each service retries, counts and
# limits. Check for one before you add your own: two retries of 4 attempts, one around the other, make up to 16 calls.

# %% [markdown]
# ## Questions
#
# <details><summary>Your service calls three backends. How many breakers, bulkheads and deadlines does it
# need?</summary>
#
# One breaker and one bulkhead for each backend, since each backend can fail on its own. One deadline for the request,
# which the three calls share: the user waits once.
# </details>
#
# <details><summary>The breaker opens while a request sleeps between two attempts. What should you answer?</summary>
#
# 503, as soon as the request wakes: its next attempt is rejected. Your service does so, as the second request to a dead
# backend shows. You could also answer 502 for the attempt before the pause, but "come back in 30 s" helps the caller
# more.
# </details>
#
# <details><summary>Where in the stack would you put a cache?</summary>
#
# A fresh entry needs none of the layers, so look it up outermost, before a request takes a slot. A *stale* entry as a
# last resort is outermost too, but you look it up afterwards, when the stack has given up.
# </details>
#
# <details><summary>A colleague puts the deadline inside the retry. How long does a user wait at worst?</summary>
#
# `max_attempts` deadlines and the pauses between them. A deadline that starts again with each attempt is only an
# attempt's timeout.
# </details>

# %% [markdown]
# <details><summary>For Rust readers</summary>
#
# * `tower::ServiceBuilder` is the stack: the first `.layer(...)` is the outermost. On an axum `Router` it is the other
#   way round: each `.layer()` wraps the layers before it, so the last one is the outermost. If you mix the two up, you
#   have this notebook's mistake in one line.
# * tower has layers of the same names: `TimeoutLayer`, `RetryLayer`, `ConcurrencyLimitLayer`, `LoadShedLayer`. It has
#   no breaker.
# * Rust cancels a future by dropping it, and nothing is notified. A breaker there needs a guard with `Drop` to give the
#   probe's place back.
# * `#[derive(Clone)]` on `AppState` clones each field. Shared state must be behind an `Arc`; otherwise every request
#   gets its own breaker.
# </details>
