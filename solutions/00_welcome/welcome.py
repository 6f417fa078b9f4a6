# %% [markdown] lecture="Lecture 05: Error Handling and Building Resilient Services"
# # Welcome
#
# **What happens while I wait?** A service spends nearly all its time waiting for somebody else: a database, a partner,
# a user. This course is about the day on which the answer doesn't come. Here you get to know the laboratory, and the
# asyncio that the other notebooks take for granted.
#
# About 30 minutes, and 5 for the warm-ups. Nothing in this notebook is graded.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import time
import warnings
from collections import Counter

from faultlab import COLORS, World, axes, hang, label_lines, live, mark, play, show, simulate
from faultlab.lanes import lanes
from faultlab.notebook import start
from faultlab.warmup import estimate, mended, predict

start()

# %%
import asyncio

# %% [markdown] lecture="Introduction"
# ## A blip of ten seconds
#
# One small service runs through all notebooks. It gets 280 requests a second, and asks its database once for each. The
# database can answer 300 a second, so all is well. The service waits one second for an answer, and then does what
# everybody would do: it asks once more. (Read the function as if `async`, `await` and `asyncio.timeout` weren't there;
# they are explained below.)


# %%
async def ask_twice(database):
    for attempt in (1, 2):
        try:
            async with asyncio.timeout(1):
                return await database()
        except TimeoutError:
            if attempt == 2:
                raise


# %% [markdown]
# One evening a cable is pulled out, and for ten seconds the database does nothing. Then the cable is plugged in again,
# and the database is as well as before. It has the simplest queue there is: first come, first served.
#
# Two folded cells hold that evening: one the database, the other the users. Every user calls the function above. To keep
# your machine cool, each simulated user stands for ten.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class Database:
    """Serve in the order of arrival, and serve every request, whether or not its caller still waits."""

    def __init__(self, asked, *, capacity=300, outage=(30, 40), crowd=10):
        self.asked, self.capacity, self.outage, self.crowd = asked, capacity, outage, crowd
        self.free = 0.0  # when it will have served all requests that it has now

    async def __call__(self):
        now = asyncio.get_running_loop().time()
        self.asked[int(now)] += self.crowd
        begins = max(now, self.free)
        if self.outage[0] <= begins < self.outage[1]:
            begins = self.outage[1]
        self.free = begins + self.crowd / self.capacity
        await asyncio.sleep(self.free - now)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def evening(service, *, rate=280, seconds=120, crowd=10, **database):
    """How many requests the database gets, and how many users get their answer, in each second."""
    asked, good = Counter(), Counter()
    database = Database(asked, crowd=crowd, **database)

    async def user():
        try:
            await service(database)
        except Exception:  # this user goes home without an answer
            return
        good[int(asyncio.get_running_loop().time())] += crowd

    async def users():
        async with asyncio.TaskGroup() as group:
            for number in range(1, rate * seconds // crowd + 1):
                group.create_task(user())
                await asyncio.sleep(number * crowd / rate - asyncio.get_running_loop().time())

    simulate(users())
    return [asked[second] for second in range(seconds)], [good[second] for second in range(seconds)]


# %%
asked, good = evening(ask_twice)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "A minute after the cable is back: how many requests a second are answered in time?",
    [280, 150, 20, 0],
    lambda: good[100],
    why="And the database is not idle: it answers 300 requests a second, each of them too late. In an hour it will "
    "be the same, until somebody turns the service off.",
)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def evening_figure():
    title = "The cable is out for ten seconds: when is the service back?"
    fig, ax = axes(title, "seconds", "requests a second", width=7.8)
    ax.axvspan(30, 40, color=COLORS["fault"])
    ax.text(35, 632, "cable out", ha="center", fontsize=9)
    ax.plot([0, 120], [300, 300], color=COLORS["pale"], linewidth=0.8, linestyle=":", label="the database can do")
    ax.plot(asked, color=COLORS["attempt"], linestyle="-", drawstyle="steps-post", label="asked")
    ax.plot(good, color=COLORS["answered"], linestyle="--", drawstyle="steps-post", label="answered in time")
    ax.set(ylim=(-12, 680), xlim=(0, 120))
    label_lines(ax)
    return fig


show(
    evening_figure(),
    alt="Until second 30, 280 requests a second are asked and answered. From second 30 on none is answered in time, and "
    "from second 31 on 560 are asked. The database is back at second 40, and nothing changes until the end.",
    fold="What happens",
)

# %% [markdown]
# The cause is gone after ten seconds, and nobody in the room can explain the rest of the evening. The database is well,
# its machine is busy, no line of code is wrong, and a single second attempt is hardly too many. (The numbers are those
# of an example in Bronson and others, "Metastable Failures in Distributed Systems", HotOS 2021.)
#
# If you have a guess, write it down. The lecture that this course follows gives a service six abilities, and each has a
# notebook. The service tries again, stops asking, gives up in time, contains a slow neighbour, knows its own health, and
# makes do with less. Each ability can also do harm. **In notebook 11 the same cable is pulled once more**, and then the
# service is built from your own answers.

# %% [markdown]
# ## How a timeline is read
#
# The course draws what happens in pictures like the next one. Here are two users of `ask_twice`. Ada asks while all is
# well and gets her answer after 0.2 s. Bob asks while the cable is out.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def two_users():
    world = World()
    well = world.service("database", latency=0.2)
    cut = world.service("dead database", then=hang())

    async def both():
        ada = asyncio.create_task(ask_twice(well), name="Ada")
        bob = asyncio.create_task(ask_twice(cut), name="Bob")
        return await asyncio.gather(ada, bob, return_exceptions=True)

    return simulate(both(), world=world).timeline


# %% cover="true"
show(two_users(), title="What do two users of ask_twice get?", order=["Ada", "Bob"], until=2.4)

# %% [markdown]
# * Time runs to the right. Things that run side by side (asyncio calls them tasks) have a **lane** each, with their name
#   at the left.
# * A **bar** is a call to a service, from the question to the answer. Its colour and its pattern say how it ended; the
#   legend under the picture names them.
# * A **stroke** is an instant: here Bob's timeout went off twice. Both of his bars are hollow: he stopped waiting, and
#   there was no answer. (In later pictures, a cross shows where a cancellation lands that has no words of its own.)
# * Everything in the picture also stands in the table folded below it, event by event.
#
# ## Thirty seconds in no time
#
# Nobody had to wait for those two seconds. In `simulate(...)` the clock is **virtual**: when every task waits, the clock
# jumps to the instant at which the next task continues. The code can't tell the difference.


# %%
async def nap(seconds):
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(seconds)
    return loop.time() - began


wall = time.perf_counter()
slept = simulate(nap(30)).value
spent = time.perf_counter() - wall
print(f"the code slept {slept:g} s, and that took {1000 * spent:.1f} ms")

# %% [markdown]
# `loop.time()` is asyncio's own clock, which sleeps and timeouts use too. Measure with it, and your measurement is right
# on either clock.
#
# Is it real code that runs there? Yes: it is ordinary asyncio, and nothing in `nap` knows about the laboratory. `await
# live(...)` runs the same code on the **real clock**. The next cell really takes half a second.

# %%
wall = time.perf_counter()
slept = (await live(nap(0.5))).value
spent = time.perf_counter() - wall
print(f"the code slept {slept:.1f} s, and that took {1000 * spent:.0f} ms")

# %% [markdown]
# The virtual clock has a second advantage: a run is the same each time, to the nanosecond. A mistake that shows up once
# shows up again.

# %% [markdown]
# ## asyncio in seven facts
#
# **1. A call makes a coroutine object, and nothing has happened yet.** `tea()` looks like a call, but no line of `tea`
# runs. An `await` runs it, or a task.


# %%
async def tea():
    await asyncio.sleep(2)
    mark("tea")


async def toast():
    await asyncio.sleep(1)
    mark("toast")


not_yet = tea()
print(type(not_yet).__name__)
not_yet.close()  # thrown away, so that Python doesn't complain

# %% [markdown]
# **2. `await` is not concurrency.** It says "I continue when this is done". Two awaits, one after the other, take as long
# as both together.


# %%
async def slow_breakfast():
    await tea()
    await toast()


show(simulate(slow_breakfast()).timeline, title="Two awaits: how long do they take?", until=3.4)

# %% [markdown]
# The thin line is a sleep: the task waits, and no service is asked. The strokes are notes that the code takes with
# `mark(...)`. The coroutine that is given to `simulate` has a lane too, which bears the function's name.
#
# **3. A task is concurrency.** It starts a coroutine and lets it run beside you. A `TaskGroup` waits at its end until all
# its tasks are done, so none is forgotten. Press *Play* to see the two tasks run side by side.


# %%
async def breakfast():
    async with asyncio.TaskGroup() as group:
        group.create_task(tea(), name="tea")
        group.create_task(toast(), name="toast")
    mark("all is ready")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
play(
    simulate(breakfast()),
    title="Two tasks: how long do they take?",
    alt="Tea takes 2 s and toast takes 1 s, side by side, so that breakfast is ready after 2 s.",
    until=2.6,
    seconds=5,
)

# %% [markdown]
# ### Warm-up 1: who arrives first?
#
# Ada sleeps once, Bob three times, and Cleo's task is created later.


# %%
async def racer(name, *pauses):
    for pause in pauses:
        await asyncio.sleep(pause)
    mark(f"{name} arrives")


async def race():
    async with asyncio.TaskGroup() as group:
        group.create_task(racer("Ada", 0.9), name="Ada")
        group.create_task(racer("Bob", 0.2, 0.2, 0.2), name="Bob")
        await asyncio.sleep(0.5)
        group.create_task(racer("Cleo", 0.3), name="Cleo")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def race_won():
    run = simulate(race()).timeline
    return min(("Ada", "Bob", "Cleo"), key=lambda name: run.marks(f"{name} arrives")[0].at)


predict(
    "Who arrives first?",
    ["Ada", "Bob", "Cleo"],
    race_won,
    why="Bob's three pauses end at 0.6 s. Cleo sleeps for a shorter time than Bob, but begins at 0.5 s.",
    picture=lambda said: lanes(
        simulate(race()).timeline, title="Who arrives first?", order=["Ada", "Bob", "race", "Cleo"], until=1.15
    ),
)

# %% [markdown]
# **4. Between two awaits nobody else runs.** All tasks share one thread, and a task yields it only at an `await`. So lines
# without an `await` can't be disturbed. With an `await` among them they can be: here two tasks add 1 to a counter.


# %%
async def add_one(counter):
    seen = counter["n"]
    mark(f"reads {seen}")
    await asyncio.sleep(0.5)  # here the other task runs
    counter["n"] = seen + 1
    mark(f"writes {seen + 1}")


async def two_add():
    counter = {"n": 0}
    async with asyncio.TaskGroup() as group:
        for name in ("Ada", "Bob"):
            group.create_task(add_one(counter), name=name)
    return counter["n"]


# %%
run = simulate(two_add())
title = f"Ada and Bob have both added 1. Why does the counter say {run.value}?"
show(run.timeline, title=title, order=["Ada", "Bob"], until=0.8)

# %% [markdown]
# Both read 0 before either of them writes. Move the `await` to the top of `add_one`, run both cells again, and no
# addition is lost.
#
# **5. A blocking call freezes every lane.** This is the other side of fact 4: a task that doesn't yield the thread stops
# all others. `time.sleep` is such a call; so is a database driver without `await`, or a long loop.


# %%
async def ticking():
    for number in range(1, 6):
        await asyncio.sleep(0.25)
        mark(f"{number}")


async def rude():
    await asyncio.sleep(0.4)
    time.sleep(1)  # not asyncio.sleep


async def together():
    async with asyncio.TaskGroup() as group:
        group.create_task(ticking(), name="clockwork")
        group.create_task(rude(), name="rude")


# %% [markdown]
# The clockwork should tick at 0.25, 0.5, 0.75, 1 and 1.25 s.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def second_tick():
    return simulate(together()).timeline.marks("2")[0].at


def frozen(said):
    title = "When does the clockwork tick?"
    return lanes(simulate(together()).timeline, title=title, order=["clockwork", "rude"], until=2.4)


estimate(
    "When does its second tick come?",
    second_tick,
    unit="s",
    why="It was due at 0.5 s. The clockwork did nothing wrong: from 0.4 s to 1.4 s nobody runs but the rude task.",
    picture=frozen,
)

# %% [markdown]
# In a service, one careless request makes a thousand others stand still. (Replace the line by `await asyncio.sleep(1)`,
# and the clockwork ticks as it should. Try it.)
#
# **6. A cancellation is an exception that lands at an `await`.** `task.cancel()` raises `CancelledError` where the task
# is waiting. It propagates like any exception, so a `finally` on its way runs. Here a guest waits for a kitchen. The
# kitchen is a service of the laboratory that answers after 3 s.


# %%
async def guest(kitchen):
    try:
        await kitchen()
        mark("dines")
    finally:
        mark("shuts the door")


async def host(kitchen):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(guest(kitchen), name="guest")
        await asyncio.sleep(1)
        mark("cancels")
        task.cancel()


# %%
world = World()
run = simulate(host(world.service("kitchen", latency=3)), world=world)
show(run.timeline, title="Cancelled after 1 s: what does the guest still do?", order=["host", "guest"], until=1.6)

# %% [markdown]
# The guest was waiting for the kitchen, so the exception was raised in that line. He didn't dine, but he did shut the
# door. What must happen in any case belongs in a `finally`.
#
# **7. A timeout is a cancellation with a clock.** When the time is up, the work inside is cancelled, and a
# `TimeoutError` comes out of the `async with`.


# %%
async def impatient(kitchen):
    try:
        async with asyncio.timeout(1):
            await kitchen()
    except TimeoutError:
        await toast()


world = World()
run = simulate(impatient(world.service("kitchen", latency=3)), world=world)
show(run.timeline, title="One second for the kitchen: what then?", until=2.4)

# %% [markdown]
# ## Two traps
#
# **`asyncio.run` in a notebook.** In a script you start asyncio with `asyncio.run(main())`. A notebook already runs a
# loop, and a thread can't run two of them:

# %%
lunch = breakfast()
try:
    asyncio.run(lunch)
except RuntimeError as problem:
    print(f"RuntimeError: {problem}")
lunch.close()

# %% [markdown]
# In a notebook a cell may `await` by itself, so `await breakfast()` is all you need (and it takes two real seconds). In
# this course it's mostly `simulate(breakfast())`.
#
# **A forgotten `await`.** This is fact 1 in daily life: no error, no result, and nothing was done. Python notices when
# the coroutine object is thrown away, and warns:


# %%
async def forgetful():
    asyncio.sleep(1)
    mark("slept well")


with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    run = simulate(forgetful())
print(f"over after {run.timeline.duration:g} s")
for each in heard:
    print(f"{each.category.__name__}: {each.message}")

# %% [markdown]
# The words "was never awaited" always mean this. Look for a call of an `async def` with no `await` before it.
#
# ### Warm-up 2: fix a forgotten await
#
# A shop saves each order, and then sends the receipt. Customers get receipts for orders that were never saved. Change
# the function below and run its cell; the line under it says whether the function is right.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def order_taken():
    world = World()
    save, send = (world.service(name, latency=0.2).for_lane(name) for name in ("save", "receipt"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return simulate(take_order(save, send, "tea"), world=world)


def still_lost():
    line = order_taken().timeline
    saved, sent = line.calls("save"), line.calls("receipt")
    if len(saved) != 1 or len(sent) != 1:
        return f"one order was placed: {len(saved)} saved, {len(sent)} receipt(s) sent"
    early = saved[0].end is None or sent[0].start < saved[0].end
    return "the receipt is sent before the order is saved" if early else ""


def shop_lanes(well):
    line = order_taken().timeline
    return lanes(line, title="Which services does the shop call, and when?", until=0.6)


def look_at_the_shop():
    mended(
        still_lost,
        well="Fixed: first saved, then the receipt.",
        hint="`save(order)` makes a coroutine object. What runs it and waits until it is done?",
        picture=shop_lanes,
    )


# %%
async def take_order(save, send_receipt, order):
    save(order)
    await send_receipt(order)
    return "thanks"


look_at_the_shop()

# %% [markdown]
# ## How the exercises work
#
# The notebooks 01 to 10 have an exercise each. It consists of a contract in words, a cell with an empty function or
# class, and a cell with `check("...")` below it.
#
# * **The check** runs your function in many small worlds, on the virtual clock. For each promise of the contract it says
#   whether it was kept. Where a promise was broken, it says what was seen, with times, and draws your run. A
#   check takes a second or so, costs nothing, and you may run it as often as you like.
# * **Grading** checks the same promises with other numbers. A function that keeps the contract passes; a function that
#   was fitted to the numbers of the check doesn't.
# * **Hints** are folded below the exercise, in layers. They say where to begin, then the idea, and at last they show the
#   lines of a solution in the wrong order. Opening one costs no points.
# * **Predictions** aren't graded either. Choose an answer before you look: you will remember a wrong guess that surprised
#   you.
#
# Change the cells, break them, run them again. The Stop button ends a cell that waits forever. When a notebook is in a
# muddle: *Run, Restart Kernel and Run All Cells*.
#
# **The route that we recommend** is the order of the numbers, 00 to 11. It is the lecture's order too.
#
# <details><summary>For Rust readers: Tokio and asyncio</summary>
#
# | The lecture's Rust | Python, in this course |
# |---|---|
# | a future is lazy until awaited | a coroutine object too |
# | `tokio::spawn` | `TaskGroup.create_task`, which also waits for it |
# | dropping a future cancels it at once | `task.cancel()` raises in the task, which unwinds; wait for it |
# | many threads, `Send`, `Arc<Mutex<_>>` | one thread; between two awaits nobody else runs |
# | `Result`, enums, `thiserror` | exceptions, classes, `raise ... from ...` |
# | `tokio::time::timeout` | `asyncio.timeout`, `asyncio.timeout_at` |
# | `Semaphore` | `asyncio.Semaphore`, with a bounded wait |
# | `tokio::time::pause` in tests | `simulate(...)` |
# | `reqwest` | httpx2 |
# | `sqlx` | aiosqlite, or SQLAlchemy's asyncio side |
# | `axum` | Starlette on uvicorn |
# | `tracing` | contextvars and structlog |
# | retries and breakers by hand | stamina for retries; a breaker by hand, or in the proxy |
# </details>
#
# <details><summary>Questions</summary>
#
# 1. A cell awaits two coroutines that sleep 2 s each, one after the other. How long does it take, and how would you
#    halve the time? *(4 s; with two tasks in a `TaskGroup`.)*
# 2. Two tasks run `counter += 1`, with no `await` in the line. Can an addition get lost? *(No. Between two awaits nobody
#    else runs.)*
# 3. A task runs a loop that computes for a minute, and is cancelled after a second. When does it stop? *(At its first
#    `await` after the minute.)*
# 4. Why does the service of the first picture not come back? *(Keep your guess until notebook 11.)*
# </details>
