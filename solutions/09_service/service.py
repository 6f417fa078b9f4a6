# %% [markdown] lecture="Complete Resilient Service Example"
# # A complete service
#
# **In which order?** All parts are there: retry, circuit breaker, bulkhead, timeout. What is left is to put one around
# the other, and that decides more than any of their numbers. About 25 minutes of reading and trying, and 60 for the
# exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

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
from faultlab.notebook import start
from faultlab.raster import Interval, slots
from faultlab.sheet import Bar, Sheet, Text
from faultlab.warmup import arrange, estimate, mended, predict

start()

# %% [markdown]
# ## A puzzle: two services of the same parts
#
# Two teams have the same four parts, with the same numbers:
#
# | part | its promise | setting |
# |---|---|---|
# | timeout | an attempt takes no longer than this | 5 s |
# | retry | what failed is tried again | 4 attempts, pauses of 0.1, 0.2 and 0.4 s |
# | breaker | what keeps failing isn't called | 5 failures in a row, 30 s |
# | bulkhead | no more at once than this | 100 slots |
#
# One night their backend takes every call and never answers. Team B's service says "not now" after five seconds, and
# from then on at once; its users see yesterday's list. In team A's office the phones ring. No part has a bug, and no
# setting differs. **What did the teams do differently?**

# %%
import asyncio
import random

# %% [markdown]
# ## The pattern
#
# Here are the four parts, each as short as it can be. (The breaker is the lecture's idea: a count of failures in a row,
# and a time until which it rejects. Yours from the exercises can do more; for the *order* these are enough.)


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
# Look at what they have in common: each takes an operation and runs it, better guarded. And *that* is an operation
# again, which the next part can take. So **a service is a pile of layers, each around the next, and a layer sees only
# what the layers inside it let through.**


# %%
def small_parts(slots=100, threshold=5):
    return {
        "retry": small_retry,
        "breaker": SmallBreaker(threshold).call,
        "bulkhead": partial(small_bulkhead, permits=asyncio.Semaphore(slots)),
        "timeout": small_timeout,
    }


def layered(order, op, parts):
    """`op` inside these parts, the first of them outermost."""
    for name in reversed(order.split(" > ")):
        op = partial(parts[name], op)
    return op


# %% [markdown]
# Two layers around a backend that fails once:


# %% cover="true"
def two_layers():
    world = World()
    backend = world.service("backend", [error("ConnectionError")], latency=0.2)

    async def request():
        await asyncio.create_task(layered("retry > timeout", backend, small_parts())(), name="request")

    return simulate(request, world=world).timeline


show(two_layers(), order=["request"])

# %% [markdown]
# ## The lecture's listing
#
# The last listing of the lecture puts everything together. First what all requests share:


# %% lecture="AppState"
@dataclass
class LectureAppState:
    db: Callable
    metrics: list = field(default_factory=list)
    rate_limiter: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(100))
    circuit_breaker: SmallBreaker = field(default_factory=SmallBreaker)


# %% [markdown]
# Then what happens for each of them, with the layers written out:


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
# stands for axum.


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
# It works, and not only on the virtual clock: this cell starts a real server on a free port of this machine, asks it
# with a real client, and stops it. The database has a bad moment: its second answer is an error.


# %%
async def over_http(app, paths):
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as web:
        answers = [(await web.get(path)).text for path in paths]
    server.should_exit = True
    await serving
    return answers


# %%
notes = []
house = World()
database = house.service("database", [ok({"name": "Ada"}), error("ConnectionError"), ok({"name": "Bob"})], latency=0.02)
real = await live(over_http(lecture_main(database, notes.append), ["/users/1", "/users/2", "/health"]), world=house)
for note, body in zip(notes, real.value, strict=True):
    print(note, body)
print(f"calls of the database: {len(real.timeline.calls())}")

# %% [markdown]
# Two requests, three calls: the retry did its work, and nobody outside heard of the error.
#
# ## One thing changes: the backend hangs
#
# Back to the virtual clock, and to the puzzle. The order of this handler, from the outside in, is
# `bulkhead > breaker > retry > timeout`. A request comes every 50 ms; the backend takes each call and never answers.


# %%
def night(order, seconds, threshold=5):
    """A backend that hangs, and twenty requests a second; when they come and when they have their answer."""
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
# An error is an answer too, if it comes in time: the user can do something else. So:

# %%
LECTURES_ORDER = "bulkhead > breaker > retry > timeout"
twenty_seconds = night(LECTURES_ORDER, 20)
estimate(
    "Twenty seconds, 400 requests. How many of them have had any answer, good or bad?",
    lambda: len(twenty_seconds.marks("answered")),
    why="The first one still makes its fourth attempt. The breaker waits for the first request to fail, and that "
    "takes 4 × 5 + 0.1 + 0.2 + 0.4 = 20.7 s. A hundred requests hold the slots, the other three hundred stand in line.",
)

# %% [markdown]
# A hundred slots, each held for 20.7 s, are good for 100 / 20.7 = **4.8 requests a second**, on any machine. In the
# end the breaker puts a stop to that. But it hears of a failure only when four attempts in a row have failed: one
# success among them, and what it hears of is a success. If it stays closed, two minutes look like this:

# %%
two_minutes = night(LECTURES_ORDER, 120, threshold=10_000)
came, answered = len(two_minutes.marks("comes")), len(two_minutes.marks("answered"))
print(f"{came} requests came, {answered} were answered, 100 hold a slot, {came - answered - 100} wait")

# %% [markdown]
# ### What the breaker sees
#
# Now a backend that is simply dead: every call fails after 50 ms. The circuit opens after 5 failures. Requests come one
# after the other. **How many calls does the dead backend get until it is left alone?** (`sick` in the folded cell
# plays a dozen requests in any order of the layers.)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def sick(order, hangs=False):
    """A dozen requests, one after the other, at a sick backend; marks say who holds a slot."""
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


# %%
def until_open(timeline):
    """Attempts until the circuit opened, and when it did; None when it never did."""
    opened = next((change.at for change in timeline.marks("state") if change.value == "open"), None)
    return None if opened is None else (sum(call.start < opened for call in timeline.calls()), opened)


estimate(
    "In the lecture's order, after how many attempts does the circuit open?",
    lambda: until_open(sick(LECTURES_ORDER))[0],
    why="The breaker stands outside of the retries. It sees five failures: five requests, of four attempts each, which "
    "take 4.5 s. The parameter says 5, the backend gets 20.",
)

# %% [markdown]
# ### Who sleeps in a slot
#
# One more look, at the outermost layer. Two slots, and a dead backend; the pauses are longer here, so that they can be
# seen. **How much of the time is a slot taken by somebody who only waits?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def rush_hour(order):
    """Two slots and four requests at a dead backend: who holds a slot, and whether they work or sleep in it."""
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
def in_slots(order, title):
    timeline, held = rush_hour(order)
    bars = []
    for slot, who, at, over in held:
        for call in timeline.calls(lane=who):
            if at <= call.start < over:
                bars += [Interval(f"slot {slot}", "asleep", at, call.start)] if call.start > at + 1e-6 else []
                bars += [Interval(f"slot {slot}", "at the backend", call.start, call.end)]
                at = call.end
    return slots(bars, title=title, until=9, tenants={"at the backend": "tone0", "asleep": "tone5"})


# %%
show(in_slots("bulkhead > retry", "The bulkhead outside: bulkhead > retry"), fold="What happens")

# %% [markdown]
# Two thirds of the time. A slot is there to protect the backend, and the backend has nothing to do with a request that
# sleeps. With the two layers swapped a request takes a slot for each attempt, and gives it back before it sleeps:

# %%
show(in_slots("retry > bulkhead", "The bulkhead inside: retry > bulkhead"), fold="What happens")

# %% [markdown]
# ## Warm-up 1: the order
#
# Now you. Three wishes: a **dead** backend is left alone after 5 attempts; so is one that **hangs**; and nobody keeps a
# slot while it sleeps. (More than one order grants them all.)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
LAYERS = [
    "retry      tries again, with pauses",
    "bulkhead   takes a slot, gives it back",
    "breaker    counts failures, rejects",
    "timeout    5 s",
]


def order_trial(text):
    """What is wrong with this order of the layers, from the outside in."""
    order = " > ".join(line.split()[0] for line in text.splitlines())
    for hangs, kind in ((False, "is dead"), (True, "hangs")):
        found = until_open(sick(order, hangs))
        if found is None:
            return f"{order}: a backend that {kind} never opens the circuit; a dozen requests, and no end."
        if found[0] != 5:
            return f"{order}: a backend that {kind} gets {found[0]} attempts before the circuit opens."
    if order.index("bulkhead") < order.index("retry"):
        return f"{order}: whoever sleeps keeps its slot."
    return ""


# %% tags=["plumbing"] jupyter={"source_hidden": true}
arrange(
    "Put the layers in order, the outermost first.",
    LAYERS,
    order_trial,
    why="The breaker must stand inside of the retries, to count attempts; and outside of the timeout, to hear of it as a "
    "failure. The bulkhead only has to stand inside of the retries.",
)

# %% [markdown]
# ### A pile to play with
#
# Each button lifts its layer by one. The numbers are measured anew each time, with the parts from above. **Which orders
# never open the circuit of a backend that hangs, and what do they have in common?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class Pile(ipywidgets.VBox):
    """Four buttons, one a layer, the outermost on top; a press lifts its layer."""

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
    """In words: attempts until the circuit opens, when it does, and how long a slot is held at most."""
    timeline = sick(order, hangs)
    taken = [mark.at for mark in timeline.marks("slot taken")]
    given = [mark.at for mark in timeline.marks("slot given back")]
    longest = max(after - before for before, after in zip(taken, given, strict=True))
    found = until_open(timeline)
    attempts = f"{found[0]} attempts" if found else "never"
    return attempts, f"until it opens, {found[1]:.4g} s" if found else "the circuit stays closed", f"{longest:.3g} s"


def pile_picture(order=LECTURES_ORDER):
    shapes, names = [], order.split(" > ")
    for depth, name in enumerate(names):
        inset = 22 * depth
        shapes.append(Bar(8 + inset, 12 + inset, 340 - 2 * inset, 210 - 2 * inset, "cancelled"))
        shapes.append(Text(18 + inset, 28 + inset, name, 12, bold=True))
    shapes.append(Text(178, 124, "the backend", 12, "middle"))
    said = []
    for row, (kind, hangs) in enumerate({"The backend is dead:": False, "The backend hangs:": True}.items()):
        y, (attempts, opens, held) = 40 + 100 * row, measured(order, hangs)
        shapes += [
            Text(372, y, kind, 12),
            Text(372, y + 30, attempts, 22, bold=True),
            Text(580, y + 30, held, 22, bold=True),
        ]
        shapes += [Text(372, y + 48, opens, 11), Text(580, y + 48, "a slot is held", 11)]
        said.append(f"{kind} {attempts}, {opens}; a slot is held for {held}.")
    return Sheet(720, 236, tuple(shapes), alt=" ".join(said))


# %%
explore(
    pile_picture,
    alt="Four boxes inside each other around the backend, and what each kind of illness does to them.",
    labels={"order": "this order:"},
    order=Pile(LECTURES_ORDER),
)

# %% [markdown]
# <details><summary>What is to be found</summary>
#
# The circuit stays closed for ever wherever the timeout stands *outside* of the breaker. The timeout cancels what is
# inside of it, and a cancelled call is no verdict: for all that the breaker knows, the user has left. Inside of the
# breaker the same timeout is a `TimeoutError`, and that is a failure. With the timeout outside of the retries, 5 s are
# all that the four attempts have together.
# </details>

# %% [markdown]
# Team B chose `retry > bulkhead > breaker > timeout`. Its night, beside that of team A: **when does the line of
# those without an answer stop growing?**


# %%
def without_answer(timeline):
    changes = sorted(
        [(one.at, 1) for one in timeline.marks("comes")] + [(one.at, -1) for one in timeline.marks("answered")]
    )
    return [at for at, _ in changes], list(accumulate(change for _, change in changes))


fig, ax = axes("A backend that hangs, 20 requests a second", "seconds", "without an answer")
for team, order in {"A": LECTURES_ORDER, "B": "retry > bulkhead > breaker > timeout"}.items():
    ax.step(*without_answer(night(order, 30)), where="post", label=f"{team}: {order}")
ax.legend(fontsize=8)
show(fig, fold="What happens", alt="Requests without an answer: team A's rise to 400 in 20 s, team B's to 100 in 5 s.")

# %% [markdown]
# After 5 s the first attempts of team B time out, five of them open the circuit, and from there on everybody hears "not
# now" within a moment. Team A's breaker hears its five failures after 20.7 s; then the three hundred who stood in line
# are sent away together. Same parts, same numbers.

# %% [markdown]
# ## asyncio you need
#
# **Two timeouts, one inside the other.** One second for each attempt, 2.5 s for everything. Both cancel what they hold;
# but each turns only *its own* cancellation into a `TimeoutError`, at its own `async with`. So the retry inside sees
# two `TimeoutError`s, which it may catch, and then a cancellation, which it may not:


# %%
async def three_attempts(backend):
    for _ in range(3):
        try:
            async with asyncio.timeout(1):
                return await backend()
        except TimeoutError:
            mark("caught")


async def within_the_deadline(backend):
    try:
        async with asyncio.timeout(2.5):
            await three_attempts(backend)
    except TimeoutError:
        mark("the deadline")


# %%
def two_timeouts():
    world = World()
    backend = world.service("backend", then=hang())

    async def run_it():
        await asyncio.create_task(within_the_deadline(backend), name="request")

    return simulate(run_it, world=world).timeline


show(two_timeouts(), order=["request"])

# %% [markdown]
# **A layer wants something to call, not something to await.** `retry(fetch(7))` hands over *one* coroutine, which can be
# awaited once. `retry(lambda: fetch(7))` hands over a recipe, and each attempt makes a new one. Layers in layers are
# recipes in recipes: `retry(lambda: breaker.call(lambda: fetch(7)))`. Here is the other way: the backend fails once and
# would answer the second call. **Who makes the second call?**


# %%
async def one_coroutine(backend):
    once = backend()
    await small_retry(lambda: once)


def awaited_twice():
    world = World()
    backend = world.service("backend", [error("ConnectionError")], latency=0.2)

    async def request():
        await asyncio.create_task(one_coroutine(backend), name="request")

    return simulate(request, world=world, catch=True)


twice = awaited_twice()
show(twice.timeline, order=["request"], fold="What happens")

# %% [markdown]
# Nobody. What was awaited once is used up:

# %%
print(f"{type(twice.error).__name__}: {twice.error}")

# %% [markdown]
# **All of these are `OSError`.** `ConnectionError` and `TimeoutError` have the same parent, and the first `except` that
# fits takes the error:

# %%
print([kind.__name__ for kind in TimeoutError.__mro__])
print(
    issubclass(TimeoutError, OSError), issubclass(ConnectionError, OSError), issubclass(TimeoutError, ConnectionError)
)

# %% [markdown]
# ### Warm-up 2: mend the crawler's victim
#
# A crawler asks for six users who don't exist; then a customer asks for one who does, and hears that the circuit is
# open. The backend was well all the time. Two arguments are to blame, one of each part: one is wrong and one
# isn't there. Mend them.


# %% toolkit="true"
class NotFound(Exception):
    """There is nobody with this number: an answer, and no failure of the backend."""

    def __init__(self, resource, key):
        super().__init__(f"{resource} {key!r} not found")
        self.resource, self.key = resource, key


# %%
def new_breaker():
    return SmallBreaker(threshold=5)


async def find_user(breaker, backend):
    return await small_retry(lambda: breaker.call(backend), retry_on=(Exception,))


# %%
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
    return "" if calls == 7 else f"seven questions, but the backend was asked {calls} times."


_ = mended(
    crawled,
    well="Mended: an answer that nobody likes is an answer, for the retry and for the breaker.",
    hint="The retry has a `retry_on`, the breaker an `is_failure`, which is a function of the error. What do they take "
    "for a failure now? And what does `small_retry` do with a `CircuitIsOpen`?",
)

# %% [markdown]
# ### Warm-up 3: a deadline that is too short
#
# A deadline goes around everything, so it is outside of the breaker too: when the *deadline* ends an attempt, the
# breaker hears nothing. Twelve requests meet a backend that hangs: six together, and six more when those have been
# answered. The deadline is 5 s, and the breaker opens after five failures.


# %%
def twelve(attempt_timeout):
    world = World()
    backend = world.service("backend", then=hang())

    async def request(service):
        try:
            async with asyncio.timeout(5):
                await service()
        except Exception as problem:
            mark(type(problem).__name__)

    async def two_crowds():
        parts = small_parts() | {"timeout": partial(small_timeout, seconds=attempt_timeout)}
        service = layered("retry > bulkhead > breaker > timeout", backend, parts)
        early = [asyncio.create_task(request(service), name=f"early {n}") for n in range(1, 7)]
        await asyncio.wait(early)
        late = [asyncio.create_task(request(service), name=f"late {n}") for n in range(1, 7)]
        await asyncio.wait(late)

    return simulate(two_crowds, world=world).timeline


predict(
    "Each attempt may take 10 s. How many of the twelve reach the backend, and hang there?",
    [5, 6, 11, 12],
    lambda: len(twelve(attempt_timeout=10).calls()),
    why="All of them. Each is ended by the deadline, from outside; the breaker counts nothing and stays closed.",
)

# %% [markdown]
# And with a second for each attempt? **When does each of the twelve have its answer?**

# %%
one_second = twelve(attempt_timeout=1)
names_of_all = [f"{crowd} {n}" for crowd in ("early", "late") for n in range(1, 7)]
show(one_second, order=[*names_of_all, "breaker"], limit=13, fold="What happens")

# %% [markdown]
# Six attempts time out after a second, which opens the circuit: each of the early ones is rejected when it tries again,
# and the late ones at once. So the attempt's timeout must be shorter than the deadline; short enough for all attempts,
# if they are to be worth anything.

# %% [markdown]
# ## Exercise: the whole service
#
# *7 points.* Given are `NotFound` from above, and the parts themselves, full-grown: `retry`, `CircuitBreaker` with
# `CircuitOpenError`, and `Bulkhead` with `BulkheadFull`. (They are worked answers to the exercises about them: whoever
# still wants to find their own goes there first, and opens this cell later.)
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
# Write `UserService`. `fetch` is the backend, an async function; `record` is a plain function, such as that of the
# monitor in the notebook about health.
#
# `handle(user_id)` awaits `fetch(user_id)` and returns a pair, **a status and a body for every end**:
#
# | what happened | status | body |
# |---|---|---|
# | `fetch` returned a value | 200 | the value, whatever it is |
# | `NotFound` | 404 | anything |
# | the connection stays broken: a `ConnectionError` at the last attempt | 502 | anything |
# | the circuit is open, or the bulkhead is full | 503 | a dict with `retry_after`, seconds >= 0 |
# | the last attempt took longer than `attempt_timeout`, or all of it longer than `deadline` | 504 | anything |
#
# * **Retries.** `ConnectionError` and a timeout lead to another attempt, `max_attempts` in all; `base`, `cap` and `rng`
#   decide the pauses as in `retry`. Open, full and `NotFound` are not tried again.
# * **Time.** An attempt takes at most `attempt_timeout`, a whole request at most `deadline` seconds, pauses included.
# * **The circuit.** `failure_threshold` counts *attempts* in a row that failed, over all requests; one that hangs is a
#   failure, `NotFound` is none, and neither is a rejection. Requests one after the other: exactly so many attempts reach
#   a dead backend, and while the circuit is open requests end in 0 s. After `recovery_time` one probe goes through.
# * **The bulkhead.** At most `max_concurrent` attempts at once, `max_queue` more may wait. Nobody keeps a slot during a
#   pause.
# * **Records.** `record(latency, ok)` once per request: the seconds of the whole request, and `status < 500`.
# * **Cancelled** requests are over at once, and the cancellation goes on. They keep no slot and are no verdict.
#
# **Promised**: `attempt_timeout < deadline`. **Left open**: other errors of `fetch`, and whether a cancelled request is
# recorded.


# %% exercise="service"
class UserService:
    """Users from a backend that may fail, hang or be slow; `handle` always has an answer."""

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
        """The answer for this user: `(status, body)`."""
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
# Write the layers as small methods, from the inside out: `attempt` is one call of `fetch`, and each further one passes
# the one before to a tool: `self.breaker.call(lambda: ...)`. Start with two layers, look at the check, add the next.
# What all requests share (breaker, bulkhead) is made in `__init__`.
# </details>
#
# <details><summary>Hint 2: five questions that decide the order</summary>
#
# What should the breaker count, attempts or requests? Does a sleeping request need a slot? Should the breaker hear of an
# attempt that was too slow? Which timeout is for one attempt, which for everything? And who turns what comes out at the
# top into a status: is `TimeoutError` still a `TimeoutError` up there?
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
# Once it passes, look at it at work, in a new cell: `service = UserService(backend, print)` with a backend from
# `World().service("backend", ...)` as in the cells above, or behind the web server: `over_http` takes any ASGI app.

# %% [markdown]
# ## Code review
#
# <details><summary>What else would you say about the lecture's listing?</summary>
#
# * **`rate_limiter` limits no rate.** It is a semaphore: so many *at once*. `AppError::RateLimited` is never returned,
#   as `acquire` fails only on a closed semaphore; its queue has no end, and no patience.
# * **Every error is the same.** A user who doesn't exist is retried four times, counts as a failure, and opens the
#   circuit for everybody else. A rejection is recorded as a failed request of 0 ms: the average latency gets better as
#   things get worse.
# * **No deadline for the request.** Four timeouts are not one: 4 × 5 + 0.7 s.
# * **No way out.** No shutdown that drains, no readiness apart from health, no limit for slow clients. And
#   `Database::connect().await.unwrap()`: when the database is down, the service can't even start to say so, and is
#   started again and again.
# * **A path.** Since axum 0.8 a parameter is written `/users/{id}`; `/users/:id` panics at start.
# </details>

# %% [markdown]
# ## What practitioners use
#
# Libraries that build whole piles have agreed on the essential:
#
# | | from the outside in |
# |---|---|
# | resilience4j's documentation (Java) | retry > breaker > rate limiter > timeout > bulkhead |
# | .NET's standard resilience handler (Microsoft Learn) | bulkhead > total timeout > retry > breaker > attempt timeout |
#
# The retry stands outside of the breaker, the attempt's timeout inside of it, in both. They differ about the bulkhead:
# .NET's outermost one limits *requests*, sleeping ones too, and so what the service itself has to carry; ours limits
# what the backend has to bear. A service may have both.
#
# In Python one puts the layers together by hand. `stamina` makes the outer one; what isn't named in `on` passes:


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
# Many services have the pile outside of the process: in a service mesh a proxy beside each service retries, counts and
# limits. Then look before you add a second one: two retries of 4 attempts around each other are 16.

# %% [markdown]
# ## Questions
#
# <details><summary>Your service calls three backends. How many breakers, how many bulkheads, how many deadlines?</summary>
#
# A breaker and a bulkhead for each backend, since each can be ill on its own. One deadline for the request, which the
# three share: the user waits once.
# </details>
#
# <details><summary>The breaker opens while a request sleeps before its third attempt. What should it answer?</summary>
#
# 503, as soon as it wakes: its next attempt is rejected. The exercise does so, as the second request of a dead
# backend shows. It could also remember the 502 of its second attempt; but "come back in 30 s" helps the caller more.
# </details>
#
# <details><summary>Where in the pile would you put a cache?</summary>
#
# A fresh entry needs none of the layers: outermost, before a slot is taken. A *stale* one as a last resort belongs
# around everything too, but is asked afterwards, when the pile has given up.
# </details>
#
# <details><summary>Somebody puts the deadline inside of the retry, "so that every attempt is safe". What does a user see
# at worst?</summary>
#
# `max_attempts` deadlines and the pauses between them. A deadline that begins anew isn't one.
# </details>

# %% [markdown]
# <details><summary>For Rust readers</summary>
#
# * `tower::ServiceBuilder` is the pile: the first `.layer(...)` added is the outermost. On an axum `Router` it is the
#   other way round: each `.layer()` wraps what is there already, so the last one is the outermost. Mixing the two up
#   is this notebook's mistake in one line.
# * tower's layers of the same names: `TimeoutLayer`, `RetryLayer`, `ConcurrencyLimitLayer`, `LoadShedLayer`. A breaker isn't
#   among them.
# * A dropped future is Rust's cancellation: it tells nobody. A breaker there needs a guard with `Drop` to give
#   the probe's place back.
# * `#[derive(Clone)]` on `AppState` clones each field: shared state must be behind an `Arc`, or every request gets
#   a breaker of its own.
# </details>
