# %% [markdown] lecture="Lecture 05: Error Handling and Building Resilient Services"
# # Welcome
#
# **What happens while I wait?** Nearly everything a service does is waiting for somebody else: a database, a partner,
# a user. This course is about the day on which the answer doesn't come. Here you get to know the laboratory, and as
# much asyncio as the other notebooks take for granted.
#
# About 30 minutes, and 5 for the warm-ups. Nothing in this notebook is graded.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import time
import warnings
from collections import Counter

from faultlab import World, axes, hang, live, mark, show, simulate
from faultlab.lanes import lanes
from faultlab.notebook import start
from faultlab.warmup import mended, predict

start()

# %%
import asyncio

# %% [markdown] lecture="Introduction"
# ## A blip of ten seconds
#
# One small service runs through all notebooks. It gets 280 requests a second and asks its database once for each. The
# database can do 300 a second, so all is well. The service is patient for one second, and then does what everybody
# would do: it asks once more. (Read it as if `async`, `await` and `asyncio.timeout` weren't there; they are explained
# below.)


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
# One evening a cable is pulled out, and for ten seconds the database does nothing. Then it is plugged in again, and
# the database is as well as before. Its queue is the simplest there is: first come, first served.
#
# The two folded cells hold that evening: the database, and the users. What runs there is the function above, and to
# keep your machine cool each of its users stands for ten.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class Database:
    """First come, first served, and each request takes its turn, whether or not somebody still waits for it."""

    def __init__(self, asked, *, capacity=300, outage=(30, 40), crowd=10):
        self.asked, self.capacity, self.outage, self.crowd = asked, capacity, outage, crowd
        self.free = 0.0  # when it will be done with all that it was asked for so far

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
    """What the database is asked for, and how many users get their answer, in each second."""
    asked, good = Counter(), Counter()
    database = Database(asked, crowd=crowd, **database)

    async def user():
        try:
            await service(database)
        except Exception:  # whatever it is: goes home without an answer
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
    why="And the database is not idle: it answers 300 requests a second, each of them too late.",
)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def evening_figure():
    fig, ax = axes("Ten seconds, and it stays dead", "seconds", "requests a second", width=7.8)
    ax.axvspan(30, 40, color="#EEDDD2")
    ax.text(35, 625, "cable out", ha="center", fontsize=9)
    ax.axhline(300, color="#555555", linewidth=0.8)
    ax.text(120, 308, "what the database can do: 300", ha="right", fontsize=9)
    ax.plot(asked, label="asked", drawstyle="steps-post")
    ax.plot(good, label="answered in time", drawstyle="steps-post")
    ax.set(ylim=(-12, 680), xlim=(0, 120))
    ax.legend(loc="center right", bbox_to_anchor=(1, 0.25))
    return fig


show(
    evening_figure(),
    alt="Until second 30, 280 requests a second are asked and answered. From second 31 on 560 are asked, and from "
    "30 on none is answered in time, though the database is back at second 40. It stays so until the end.",
    fold="What happens",
)

# %% [markdown]
# The cause was gone after ten seconds. The service is dead a minute later, and it will be an hour later, until
# somebody turns it off. And nobody in the room can say why: the database is well, its machine is busy, no line of code
# is wrong, and one second attempt is hardly too many. (The numbers are those of an example in Bronson and others,
# "Metastable Failures in Distributed Systems", HotOS 2021.)
#
# If you have a guess, write it down. The lecture that this course follows gives a service six abilities, each in a
# notebook: it tries again, it stops asking, it gives up in time, it keeps a slow neighbour in its place, it knows how
# it is, it makes do with less. Each of them can also do harm. **In notebook 11 the same cable is pulled once more**, and
# then the service is built from the answers that you will have written.

# %% [markdown]
# ## How a timeline is read
#
# The course shows what happens as pictures like the next one. Here are two users of `ask_twice`. Ada asks while all is
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
show(two_users(), title="One answer, and two timeouts", order=["Ada", "Bob"], until=2.4)

# %% [markdown]
# * Time runs to the right. Whatever runs beside something else (asyncio calls it a task) has a **lane** of its own, with
#   its name at the left.
# * A **bar** is a call to a service, from the question to the answer. Its colour and its pattern say how it ended; the
#   legend under the picture names them.
# * A **stroke** is an instant: here the two at which Bob's timeout went off. Both of his bars are hollow: he stopped
#   waiting, and there was no answer.
# * Whatever is in the picture also stands in the table folded below it, event by event.
#
# ## Thirty seconds in no time
#
# Those two seconds weren't spent. In `simulate(...)` the clock is **virtual**: when every task waits, the clock jumps
# to the instant at which the first of them goes on. The code can't tell the difference.


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
# `loop.time()` is asyncio's own clock, the one that sleeps and timeouts go by. Measure with it, and your measurement
# is right on either clock.
#
# Is it real code that runs there? Yes: ordinary asyncio, and nothing in `nap` knows of the laboratory. `await live(...)`
# runs the same on the **real clock**. The next cell really takes half a second.

# %%
wall = time.perf_counter()
slept = (await live(nap(0.5))).value
spent = time.perf_counter() - wall
print(f"the code slept {slept:.1f} s, and that took {1000 * spent:.0f} ms")

# %% [markdown]
# The virtual clock has a second advantage: a run is the same each time, to the nanosecond. A mistake that shows up once
# will show up again.

# %% [markdown]
# ## asyncio in seven facts
#
# **1. A call makes a coroutine object, and nothing has happened yet.** `tea()` looks like a call, and yet not one line
# of it runs. It takes an `await` to run it, or a task.


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
# **2. `await` is not concurrency.** It says "I go on when this is done". Two awaits in a row take as long as both
# together.


# %%
async def breakfast_in_a_row():
    await tea()
    await toast()


show(simulate(breakfast_in_a_row()).timeline, title="Two awaits, one after the other: 3 s", until=3.4)

# %% [markdown]
# The thin line is a sleep: somebody waits, and no service is asked. The strokes are notes that the code takes with
# `mark(...)`. What is given to `simulate` has a lane too, which bears the function's name.
#
# **3. A task is.** It starts a coroutine and lets it run beside you. A `TaskGroup` waits at its end until all its tasks
# are done, so none is forgotten.


# %%
async def breakfast():
    async with asyncio.TaskGroup() as group:
        group.create_task(tea(), name="tea")
        group.create_task(toast(), name="toast")
    mark("all is ready")


show(simulate(breakfast()).timeline, title="Two tasks, side by side: 2 s", until=2.6)

# %% [markdown]
# ### Warm-up 1: who finishes first?
#
# Ada sleeps once, Bob three times, and Cleo's task is created later.


# %%
async def racer(name, *pauses):
    for pause in pauses:
        await asyncio.sleep(pause)
    mark(f"{name} is there")


async def race():
    async with asyncio.TaskGroup() as group:
        group.create_task(racer("Ada", 0.9), name="Ada")
        group.create_task(racer("Bob", 0.2, 0.2, 0.2), name="Bob")
        await asyncio.sleep(0.5)
        group.create_task(racer("Cleo", 0.3), name="Cleo")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def race_won():
    run = simulate(race()).timeline
    return min(("Ada", "Bob", "Cleo"), key=lambda name: run.marks(f"{name} is there")[0].at)


predict(
    "Who is there first?",
    ["Ada", "Bob", "Cleo"],
    race_won,
    why="Bob's three pauses end at 0.6 s. Cleo sleeps shorter than he does, and begins at 0.5 s.",
    picture=lambda said: lanes(simulate(race()).timeline, order=["Ada", "Bob", "Cleo"], until=1.15),
)

# %% [markdown]
# **4. Between two awaits nobody else runs.** All tasks share one thread, and a task gives it away only at an `await`.
# So a few lines without one can't be disturbed. With an `await` among them they can: two tasks add 1 to a counter.


# %%
async def add_one(counter):
    seen = counter["n"]
    mark(f"reads {seen}")
    await asyncio.sleep(0.5)  # here the other one runs
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
title = f"Two have added 1, and the counter says {run.value}"
show(run.timeline, title=title, order=["Ada", "Bob"], until=0.8)

# %% [markdown]
# Move the `await` to the top of `add_one`, run both cells again, and no addition is lost.
#
# **5. A blocking call freezes every lane.** The other side of fact 4: whoever doesn't give the thread away stops all
# others. `time.sleep` is such a call; so is a database driver without `await`, or a long loop.


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
# The clockwork wants to tick at 0.25, 0.5, 0.75, 1 and 1.25 s. At which times does it?

# %%
show(simulate(together()).timeline, order=["clockwork", "rude"], until=2.4, fold="What happens")

# %% [markdown]
# The second tick was due at 0.5 s, and comes at 1.4 s. The clockwork did nothing wrong. In a service, that's one
# careless request and a thousand others that stand still with it. (`await asyncio.sleep(1)` in its place, and the
# clockwork ticks as it wants to. Try it.)
#
# **6. A cancellation is an exception that lands at an `await`.** `task.cancel()` raises `CancelledError` where the task
# is waiting. It travels up like any exception, so a `finally` on its way runs. Here a guest waits for a kitchen, which
# is a service of the laboratory: it answers after 3 s.


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
show(run.timeline, title="Cancelled after 1 s", order=["host", "guest"], until=1.6)

# %% [markdown]
# The guest was waiting for the kitchen, so that's the line where the exception came up. He didn't dine; and he did shut
# the door. What must happen in any case belongs into a `finally`.
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
show(run.timeline, title="One second for the kitchen, then toast", until=2.4)

# %% [markdown]
# ## Two traps
#
# **`asyncio.run` in a notebook.** In a script you start asyncio with `asyncio.run(main())`. A notebook already runs a
# loop, and there can't be two of them in a thread:

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
# **A forgotten `await`.** Fact 1 in daily life: no error, no result, and nothing was done. Python does notice when the
# coroutine object is thrown away, and warns:


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
# "was never awaited" always means this. Look for a call of an `async def` with no `await` before it.
#
# ### Warm-up 2: mend a forgotten await
#
# A shop saves each order, and then sends the receipt. Customers get receipts for orders that were never saved. Change
# the function below, run its cell, and the line under it says whether it's right.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def order_taken():
    world = World()
    save, send = (world.service(name, latency=0.2).for_lane("shop") for name in ("save", "receipt"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return simulate(take_order(save, send, "tea"), world=world)


def still_lost():
    line = order_taken().timeline
    saved, sent = line.calls("save"), line.calls("receipt")
    if len(saved) != 1 or len(sent) != 1:
        return f"for one order the database saw {len(saved)} and the customer got {len(sent)} receipt(s)"
    early = saved[0].end is None or sent[0].start < saved[0].end
    return "the receipt is sent before the order is saved" if early else ""


def shop_lanes(well):
    line = order_taken().timeline
    asked_for = ", then ".join(call.service for call in line.calls())
    return lanes(line, title=f"The shop asked for: {asked_for}", until=0.6)


def look_at_the_shop():
    mended(
        still_lost,
        well="Mended: first saved, then the receipt.",
        hint="`save(order)` makes a coroutine object. What makes it run, and waits until it is done?",
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
# The notebooks 01 to 10 each have an exercise: a contract in words, a cell with an empty function or class, and a cell
# with `check("...")` below it.
#
# * **The check** runs your function in many small worlds, on the virtual clock, and says for each promise of the
#   contract whether it was kept. Where not, it says what was seen, with times, and draws your run. It takes a second or
#   so, costs nothing, and you may run it as often as you like.
# * **Grading** plays the same promises with other numbers. A function that keeps the contract passes; one that
#   was fitted to the numbers seen doesn't.
# * **Hints** are folded below the exercise, in layers: where to begin, the idea, at last the lines of a solution in the
#   wrong order. Opening one costs nothing but the pleasure.
# * **Predictions** aren't graded either. Choose an answer before you look: a wrong guess that surprises you is what you
#   will remember.
#
# Change the cells, break them, run them again. The Stop button ends a cell that waits for ever. When a notebook is in a
# muddle: *Run, Restart Kernel and Run All Cells*.
#
# **The route that we recommend:** 00 01 02 04 03 05 06 07 08 09 10 11. The numbers are the lecture's order; timeouts
# (04) come before the circuit breaker (03), because a breaker has to deal with calls that are cancelled.
#
# <details><summary>For Rust readers: Tokio and asyncio</summary>
#
# | The lecture's Rust | Python, in this course |
# |---|---|
# | a future: lazy until awaited | a coroutine object: the same |
# | `tokio::spawn` | `TaskGroup.create_task`, which also waits for it |
# | dropping a future cancels it, at once | `task.cancel()` raises in the task, which unwinds; wait for it |
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
# <details><summary>Questions to take along</summary>
#
# 1. A cell awaits two coroutines that sleep 2 s each, one after the other. How long does it take, and how would you
#    halve it? *(4 s; as two tasks in a `TaskGroup`.)*
# 2. `counter += 1` in two tasks, with no `await` in the line: can an addition get lost? *(No. Between two awaits nobody
#    else runs.)*
# 3. A task runs a loop that computes for a minute and is cancelled after a second. When does it stop? *(At its first
#    `await` after the minute.)*
# 4. Why does the service of the beginning stay dead? *(Keep your guess until notebook 11.)*
# </details>
