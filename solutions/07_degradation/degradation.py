# %% [markdown] lecture="Graceful Degradation"
# # Degradation
#
# **What may I answer when I don't know?** An old answer may be better than none. An invented one never is, and it looks
# just like a success. Reading and trying things out takes about 25 minutes, the exercise 70.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
from collections import Counter

from async_lru import alru_cache

from autograder import check
from faultlab import COLORS, Timeline, World, axes, error, hang, live, mark, ok, show, simulate, waiting
from faultlab.notebook import start
from faultlab.warmup import estimate, mended, predict

start()

# %%
import asyncio
import math
from dataclasses import dataclass

# %% [markdown]
# ## A detective story: the green night
#
# A shop shows each user a page with name and address. One night its database was down for five minutes. In the morning
# the dashboard was green, but support had 1,200 complaints: *"My page says I am called Guest."* Some users had pressed
# *Save*, and now the database called them Guest too.
#
# The suspect has five lines. A developer had written them to get rid of the error page:


# %%
async def page_of(user, database):
    try:
        return await database(user)
    except Exception:
        return {"user": user, "name": "Guest"}


# %% [markdown]
# Let us live through that night again, with four visitors a second for ten minutes. The database is down from second
# 120 to second 420. The function `visit` serves a visitor, and we record what each visitor got.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def source_of(answer):
    """Say where an answer comes from: our database writes "as of: now", and a copy says when it was made."""
    if "as of" not in answer:
        return "default"
    return "fresh" if answer["as of"] == "now" else "stale"


def copy_of_yesterday(call):
    user = call.args[0]
    return ok({"user": user, "as of": "yesterday"}) if user <= 140 else error("KeyError", f"user {user}")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def night_shift(visit):
    """Return (second, source) for each visit of ten minutes, by 200 users; yesterday's copy has 140 of them."""
    world = World(seed=3)
    database = world.service("database", lambda call: ok({"user": call.args[0], "as of": "now"}), latency=0.02)
    world.outage("database", 120, 420)
    yesterday = world.service("cache", copy_of_yesterday, latency=0.002)
    drawn = world.stream("visitors")

    async def visitors():
        got = []
        second = asyncio.get_running_loop().time
        while second() < 600:
            at, user = second(), 1 + int(200 * drawn.random() ** 2)
            try:
                got.append((at, source_of(await visit(user, database, yesterday))))
            except Exception:
                got.append((at, "error"))
            await asyncio.sleep(0.25 - (second() - at) % 0.25)
        return got

    return simulate(visitors, world=world).value


# %% tags=["plumbing"] jupyter={"source_hidden": true}
FRESH, FAILED = COLORS["answered"], COLORS["failed"]
LOOK = {"fresh": (FRESH, ""), "stale": ("#7B4FA3", "-"), "default": ("#8C5A2B", "x"), "error": (FAILED, "/")}
PLATE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}


def shares(got, step=10):
    """Return each source's share of the answers, in percent, for each `step` of seconds."""
    counts = [Counter() for _ in range(0, 600, step)]
    for second, source in got:
        counts[int(second / step)][source] += 1
    return {source: [100 * count[source] / count.total() for count in counts] for source in LOOK}


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def area(got, title):
    """Draw the answers by source over time as a stacked area; return the figure and its words."""
    fig, ax = axes(title, "seconds", "% of the answers")
    parts = shares(got)
    seconds = [5 + 10 * number for number in range(60)]
    colors = [color for color, _ in LOOK.values()]
    drawn = ax.stackplot(seconds, list(parts.values()), colors=colors, alpha=0.55, step="mid")
    below = [0.0] * 60
    for (source, part), patch in zip(parts.items(), drawn, strict=True):
        patch.set(hatch=LOOK[source][1], edgecolor="white")
        widest = max(range(16, 38), key=lambda at, part=part: (round(part[at]), -abs(at - 26)))
        for at in (5, 50) if source == "fresh" else (widest,):
            if part[at] > 6:
                middle = below[at] + part[at] / 2
                ax.text(seconds[at], middle, source, ha="center", va="center", fontsize=10, bbox=PLATE)
        below = [low + share for low, share in zip(below, part, strict=True)]
    ax.set(ylim=(0, 100), xlim=(5, 595))
    total = Counter(source for _, source in got)
    return fig, f"{title}: " + ", ".join(f"{number:,} {source}" for source, number in total.items())


# %%
async def first_suspect(user, database, cache):
    return await page_of(user, database)


green = night_shift(first_suspect)

# %% [markdown]
# The dashboard showed the success rate, the share of answers that aren't errors:

# %% tags=["plumbing"] jupyter={"source_hidden": true}
fig, ax = axes("What did the dashboard show?", "seconds", "% success", height=2.2)
ax.plot(range(5, 600, 10), [100 - part for part in shares(green)["error"]], color=COLORS["answered"])
ax.set(ylim=(0, 105), xlim=(5, 595))
show(fig, alt="The success rate is a straight line at 100 % for ten minutes.")

# %% [markdown]
# Five minutes of outage, and not a scratch. The next picture sorts the same answers by their **source**: *fresh* from
# the database, or the *default* of the suspect's last line. **What did the users get?**

# %%
picture, words = area(green, "What did the users get?")
show(picture, alt=words, fold="What happens")

# %% [markdown]
# <details><summary>Why the dashboard was green</summary>
#
# Half of that night's answers were invented. The success rate couldn't show this, because an invented answer counts as
# a success. Worse, the callers of `page_of` couldn't know it either, and stored the invention. With an honest error
# page the line above would have fallen to 0 in second 120, and an engineer would have been paged.
# </details>
#
# ## The pattern
#
# To degrade **gracefully** means: **give the best answer that you really have, and say how good it is.** The best
# answer is the database's. The next best is what the database said *last time*, with its age. There is no third.


# %%
async def remembered(user, database, memory, oldest=math.inf):
    second = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(0.5):
            value = await database(user)
    except Exception:
        if user not in memory or second() - memory[user][1] > oldest:
            raise
        value, since = memory[user]
        return value, second() - since
    memory[user] = value, second()
    return value, 0.0


# %% [markdown]
# `remembered` returns an answer and its age. Age 0 means that the answer comes from the database itself. Here is the
# same night again:


# %%
def honest_night(oldest=math.inf):
    memory, ages = {}, []

    async def visit(user, database, cache):
        value, age = await remembered(user, database, memory, oldest)
        ages.append(age)
        return value if age == 0 else {**value, "as of": f"{age:.0f} s ago"}

    return night_shift(visit), max(ages)


honest, eldest = honest_night()

# %% [markdown]
# For a user who comes for the first time during the outage there is no last answer. **What does the picture look like
# now?**

# %%
picture, words = area(honest, "What do users get from a memory?")
show(picture, alt=words, fold="What happens")

# %% [markdown]
# <details><summary>What the memory changed</summary>
#
# Nine in ten still got a page, the tenth got an honest error, and no user was told a lie. And now a dashboard has
# something to show: the share of answers **by source**. It would have changed colour in second 120.
# </details>
#
# How old were the oldest answers?

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "The outage lasts 300 s. How old is the oldest answer that a user gets?",
    lambda: eldest,
    unit="s",
    tolerance=0.08,
    why="Its user came once, early in the night, and again near the end of the outage. In an outage of a day, answers "
    "would be a day old. So there must be a limit.",
)

# %% [markdown]
# An age that is fine for an address isn't fine for a balance. So the people who know the data must decide on the limit.
# Here it is 120 seconds:

# %%
picture, words = area(honest_night(oldest=120)[0], "And if no answer may be older than 120 s?")
show(picture, alt=words, fold="What happens")

# %% [markdown]
# ## The lecture's listing
#
# The listing tries three sources one after the other: the database, which has half a second, then a cache, then a
# default. (`mark` writes on the timeline what the original prints.)


# %% lecture="get_user_with_fallback"
async def lecture_get_user_with_fallback(user, fetch_from_primary_db, fetch_from_cache):
    try:
        async with asyncio.timeout(0.5):
            return await fetch_from_primary_db(user)
    except TimeoutError:
        mark("primary: timeout")
    except Exception as problem:
        mark(f"primary: {type(problem).__name__}")
    try:
        found = await fetch_from_cache(user)
        mark("served from cache")
        return found
    except Exception as problem:
        mark(f"cache: {type(problem).__name__}")
    return {"user": user, "name": "Guest"}


# %% [markdown]
# It was made for three visitors. The database answers Ann, hangs for Ben and is gone for Cleo.


# %%
def visitors(behaviour, cached=True):
    """Let each visitor in `behaviour`, which says what the database does for them, visit alone."""
    world = World()
    database = world.service("database", lambda call: behaviour[call.args[0]], latency=0.1)
    reply = ok({"as of": "yesterday"}) if cached else error("KeyError")
    kept = world.service("cache", lambda call: reply, latency=0.05)

    async def visit(name):
        return name, source_of(await lecture_get_user_with_fallback(name, database, kept))

    async def all_of_them():
        return dict(await asyncio.gather(*(asyncio.create_task(visit(name), name=name) for name in behaviour)))

    return simulate(all_of_them, world=world)


# %% cover="true"
made_for = visitors({"ann": ok({"as of": "now"}), "ben": hang(), "cleo": error("ConnectionError")})
show(made_for.timeline, title="Three visitors: how long does each one wait?")
made_for.value

# %% [markdown]
# All three have a page after 0.6 s at most. Ben waited for half a second. Without the timeout he would still be
# waiting.
#
# ## One thing changes
#
# ### Warm-up 1: label the answers
#
# Here are four more visitors, and the same listing:
#
# | | the database says | the cache has |
# |---|---|---|
# | Dan | his page | a copy |
# | Eve | nothing, forever | a copy |
# | Fay, who deleted her account yesterday | `NotFound` | a copy |
# | Gus, who is new | `ConnectionError` | nothing |


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def labels():
    behaviour = {"dan": ok({"as of": "now"}), "eve": hang(), "fay": error("NotFound")}
    return [*visitors(behaviour).value.values(), *visitors({"gus": error()}, cached=False).value.values()]


predict(
    "What do Dan, Eve, Fay and Gus get?",
    {
        "fresh, stale, an error, an error": ["fresh", "stale", "error", "error"],
        "fresh, stale, an error, default": ["fresh", "stale", "error", "default"],
        "fresh, stale, default, default": ["fresh", "stale", "default", "default"],
        "fresh, stale, stale, default": ["fresh", "stale", "stale", "default"],
    },
    labels,
    why="Fay's account is back: for the listing, `NotFound` is a failure like any other. Gus gets an invented "
    "page, and it is returned as a success.",
)

# %% [markdown]
# <details><summary>What the exercise takes from here</summary>
#
# Two clauses of your exercise come from these visitors:
#
# * **`NotFound` is an answer.** The database is well and says that there is nothing. This answer wins over every copy,
#   and the copy is thrown away.
# * **No invention.** With nothing usable, the honest answer is an error that names its cause: `raise Unavailable(...)
#   from problem`. The caller may still show a friendly page, but then the caller knows that the page is made up.
# </details>
#
# What happens in that night with the lecture's listing, which has yesterday's copy of 140 of the 200 users?

# %%
picture, words = area(night_shift(lecture_get_user_with_fallback), "What do users get from the lecture's listing?")
show(picture, alt=words, fold="What happens")

# %% [markdown]
# ## A crowd asks the same question
#
# The next thing that changes is the crowd. Five visitors ask for the same popular page at almost the same moment, and
# the database is slow. **How many calls does the database get?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def without(timeline, lane):
    """The same timeline without this lane."""
    return Timeline(tuple(event for event in timeline if event.lane != lane))


# %%
def crowd(ask, names=("ann", "ben", "cleo", "dan", "eve"), gives_up=None, takes=0.4):
    """Let all ask for user 7, one shortly after the other; one of them may be cancelled at 0.25 s."""
    world = World()
    database = world.service("database", latency=takes)

    async def visit(name, under_way):
        if name == gives_up:
            asyncio.get_running_loop().call_at(0.25, asyncio.current_task().cancel)
        await ask(7, database, under_way)
        mark("has it")

    async def rush():
        under_way, tasks = {}, []
        for name in names:
            tasks.append(asyncio.create_task(visit(name, under_way), name=name))
            await asyncio.sleep(0.05)
        await asyncio.gather(*tasks, return_exceptions=True)

    return without(simulate(rush, world=world).timeline, "rush")


# %%
async def each_for_itself(user, database, under_way):
    return await database(user)


show(crowd(each_for_itself), title="Five visitors, one question: how many calls?", until=0.65, fold="What happens")

# %% [markdown]
# <details><summary>What that means</summary>
#
# A database that is in trouble already gets the same question five times. When a popular entry gets too old, or when a
# service starts with an empty memory, it gets the question a thousand times. This is called a **stampede**, or the
# thundering herd.
# </details>
#
# The cure is called **single flight**: the first caller starts a call, and later callers join it. For that we must keep
# the call that is in flight, and in asyncio such a call is a **task**. (`with waiting(...)` draws the thin bar of a
# wait, and does nothing else.)


# %%
async def single_flight(user, database, under_way):
    if user not in under_way:
        call = asyncio.create_task(database(user), name="the call")
        call.add_done_callback(lambda _: under_way.pop(user))
        under_way[user] = call
    with waiting("the call"):
        return await under_way[user]


show(crowd(single_flight), title="Five visitors, one call: when does each one have the answer?", until=0.65)

# %% [markdown]
# There is one call, and there are five answers. No other task can run between the `if` and the last line, because there
# is no `await` between them. So no lock is needed.
#
# One thing is still wrong with this version, and one word will fix it.

# %% [markdown]
# ## asyncio you need
#
# **1. Many callers can await one task, at any time.** A coroutine can be awaited only once. A task runs by itself, and
# every caller that awaits it gets its result or its exception, even after the task is done. In the last picture Eve
# came 0.2 s after Ann, and had the answer at the same moment.
#
# **2. A cancellation travels down**, from the visitor into the task that the visitor awaits. Ben closes his browser at
# 0.25 s. **What do the others get?**

# %%
show(crowd(single_flight, gives_up="ben"), title="Ben leaves: what do the others get?", until=0.65, fold="What happens")

# %% [markdown]
# <details><summary>Why it wasn't only Ben</summary>
#
# Only Ben left, but all five visitors are cancelled, and so is the call: Ben's cancellation landed in the task that all
# of them await.
# </details>
#
# **`asyncio.shield(task)`** awaits a task without cancelling it: the waiter stops, the task continues. Here is a single
# waiter, cancelled at 0.25 s, without a shield and with one:


# %%
def one_waiter(shielded):
    world = World()
    slow = world.service("slow", latency=0.4)

    async def wait_for(task):
        with waiting("the call"):
            await (asyncio.shield(task) if shielded else task)

    async def stage():
        task = asyncio.create_task(slow(), name="the call")
        waiter = asyncio.create_task(wait_for(task), name="waiter")
        asyncio.get_running_loop().call_later(0.25, waiter.cancel)
        await asyncio.wait([task, waiter])

    return simulate(stage, world=world).timeline


show(one_waiter(shielded=False), title="await task: what stops at 0.25 s?", until=0.5)
show(one_waiter(shielded=True), title="await asyncio.shield(task): what stops at 0.25 s?", until=0.5)

# %% [markdown]
# **3. `task.add_done_callback(f)`** calls `f(task)` as soon as the task is done, *however* it ended: with a result,
# with an error, or cancelled. That is the place to tidy up what belongs to the task and not to one of its waiters. Here
# three tasks end in three ways:


# %%
def three_endings():
    world = World()
    place = world.service("place", lambda call: error() if call.index == 1 else ok(), latency=0.3)

    async def stage():
        tasks = [asyncio.create_task(place(), name=name) for name in ("result", "error", "cancelled")]
        for task in tasks:
            task.add_done_callback(lambda task: mark("callback", lane=task.get_name()))
        asyncio.get_running_loop().call_later(0.15, tasks[2].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)

    return simulate(stage, world=world).timeline


show(
    three_endings(),
    title="Three endings: when is the callback called?",
    order=["result", "error", "cancelled"],
    until=0.35,
)

# %% [markdown]
# ### Warm-up 2: fix the cancelled leader
#
# Here the first visitor makes the call itself. The others wait for a *future*, a promise that another task keeps later.
# That looks simpler. But Ann leads, and she leaves at 0.25 s. Run the folded cell below the code: it says what becomes
# of the others. Then fix the code: the call must not belong to a visitor, who can leave.


# %%
async def led_by_the_first(user, database, under_way):
    if user in under_way:
        return await under_way[user]
    under_way[user] = asyncio.get_running_loop().create_future()
    value = await database(user)
    under_way.pop(user).set_result(value)
    return value


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def leader_leaves():
    try:
        timeline = crowd(led_by_the_first, gives_up="ann", takes=0.4)
    except Exception as problem:
        return f"Ann leaves, and the others wait forever for her future ({type(problem).__name__})."
    served = [seen.lane for seen in timeline.marks("has it")]
    calls = len(timeline.calls("database"))
    if len(served) < 4:
        return f"Ann leaves, and only {len(served)} of the other four get an answer: {', '.join(served) or 'none'}."
    return "" if calls == 1 else f"the database got {calls} calls for one question."


_ = mended(
    leader_leaves,
    well="Fixed: Ann has left, and the other four have the answer of one call.",
    hint="Let a task make the call, as `single_flight` does. What must a waiter put around the task when it awaits it?",
)

# %% [markdown]
# ## Exercise: `Fallback`
#
# *6 points.* You are given two errors and the class of an answer. An answer says how good it is:


# %% toolkit="true"
class NotFound(Exception):
    """The primary has answered that there is nothing under this key."""


class Unavailable(Exception):
    """No answer is known at the moment."""


@dataclass(frozen=True)
class Served:
    """An answer, and how good it is: source "primary" or "cache", age in seconds."""

    value: object
    source: str
    age: float
    degraded: bool


# %% [markdown]
# ```python
# class Fallback:
#     def __init__(self, primary, *, primary_timeout=0.5, max_stale=300.0, on_degraded=...)
#     async def get(self, key)      # a Served
# ```
#
# `primary(key)` gives an awaitable, and `on_degraded(served)` is a plain function. Times are in seconds.
#
# **Old answers.**
#
# * Each `get` asks the primary first. It returns the primary's answer (`"primary"`, age 0, not degraded) and keeps it.
# * The primary may raise an `Exception` other than `NotFound`, or take longer than `primary_timeout`. Then `get`
#   returns the kept answer (`"cache"`, its age, degraded) if that isn't older than `max_stale`, and reports it through
#   `on_degraded(served)`.
#
# **No answer.**
#
# * `NotFound` is an *answer*: `get` throws away what was kept, and raises `NotFound`.
# * With nothing usable, `get` raises `Unavailable` `from` the primary's failure. It never invents an answer.
# * Serving a cached answer doesn't make it fresher. When the primary is back, `get` returns its answers again.
#
# **Single flight.**
#
# * Concurrent gets of one key share one call to the primary, however the call ends. A caller that is cancelled leaves
#   at once; the shared call continues, and the other callers get its result.
#
# These are the three steps: `check("degradation", step=1)` judges the first alone.
#
# Three things are left open, so do as you like. `on_degraded` may be called once for a shared call or once for each
# caller. A call may continue or stop when *all* its callers have left. A caller that joins late may get the rest of the
# timeout or all of it.
#
# The tests judge no clause that isn't written here, and no two times in them are exactly equal. `asyncio` and `math`
# are imported.


# %% exercise="degradation"
class Fallback:
    """Gives a primary's answers, and its last answer while the primary is in trouble."""

    def __init__(self, primary, *, primary_timeout=0.5, max_stale=300.0, on_degraded=lambda served: None):
        """Ask `primary(key)` for at most `primary_timeout` s; serve kept answers up to an age of `max_stale` s."""
        ### BEGIN SOLUTION
        self.primary = primary
        self.primary_timeout = primary_timeout
        self.max_stale = max_stale
        self.on_degraded = on_degraded
        self.cache = {}  # key: value and when it came
        self.under_way = {}  # key: task
        ### END SOLUTION

    async def get(self, key):
        """Return a Served from the primary or the cache; raise NotFound or Unavailable."""
        ### BEGIN SOLUTION
        task = self.under_way.get(key)
        if task is None:
            task = self.under_way[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda _: self.under_way.pop(key))
        return await asyncio.shield(task)

    async def _ask(self, key):
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.primary_timeout):
                value = await self.primary(key)
        except NotFound:
            self.cache.pop(key, None)
            raise
        except Exception as error:
            value, since = self.cache.get(key, (None, -math.inf))
            age = loop.time() - since
            if age > self.max_stale:
                raise Unavailable(f"{key}: no answer, and none young enough is kept") from error
            served = Served(value, "cache", age, True)
            self.on_degraded(served)
            return served
        self.cache[key] = value, loop.time()
        return Served(value, "primary", 0.0, False)
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: where to begin</summary>
#
# Forget sharing at first. Write a method `_ask(key)` whose `try` has `asyncio.timeout` around `await
# self.primary(key)`. Then list its ways out: an answer, `NotFound`, any other `Exception`. What does each way do to the
# cache?
# </details>
#
# <details><summary>Hint 2: sharing</summary>
#
# Keep a second dict, from key to *task*. A caller that finds no task there makes one of `self._ask(key)`. Every caller
# awaits `asyncio.shield(task)`. The task leaves the dict when it is done, however it ended:
# `task.add_done_callback(...)`.
# </details>
#
# <details><summary>Hint 3: the lines of a solution, shuffled</summary>
#
# ```
# self.cache[key] = value, loop.time()
# except Exception as error:
# task.add_done_callback(lambda _: self.under_way.pop(key))
# return await asyncio.shield(task)
# raise Unavailable(...) from error
# value, since = self.cache.get(key, (None, -math.inf))
# async with asyncio.timeout(self.primary_timeout):
# except NotFound:
# self.cache.pop(key, None)
# raise
# task = self.under_way.get(key)
# if age > self.max_stale:
# self.on_degraded(served)
# value = await self.primary(key)
# if task is None:
# task = self.under_way[key] = asyncio.create_task(self._ask(key))
# age = loop.time() - since
# return Served(value, "primary", 0.0, False)
# ```
# </details>

# %% [markdown]
# ## On the real clock
#
# Nothing here needs the virtual clock. Here `remembered` from above makes five real calls: the second one hangs, and
# the third fails. **How long does the cell take, and how old is the oldest answer?**


# %%
async def five_real_calls(database):
    memory = {}
    for number in range(1, 6):
        value, age = await remembered("ann", database, memory)
        print(f"call {number}: {value!r}, {age:.2f} s old")
        await asyncio.sleep(0.1)


real_world = World()
moods = [ok("one"), hang(), error("ConnectionError"), ok("four"), ok("five")]
real_run = await live(five_real_calls(real_world.service("database", moods, latency=0.02)), world=real_world)

# %% [markdown]
# <details><summary>Where the time went</summary>
#
# The cell takes about a second, half of which is the timeout of the second call. The fourth call noticed by itself that
# the database is back, because each call asks the database first.
# </details>
#
# ## Code review
#
# <details><summary>What else would you say about the lecture's listing?</summary>
#
# * **An error that can't happen.** The function returns `Result<User, ApiError>`, but no path leads to `Err`. The type
#   promises an honesty that the code doesn't keep.
# * **Printed, not counted.** "Served from cache (degraded)" goes to standard error, where neither the caller nor a
#   dashboard sees it. In your exercise this fact is in the answer (`source`, `age`, `degraded`) and goes to
#   `on_degraded`.
# * **No timeout on the cache.** The cache is another service across a network. When it hangs, every request hangs.
# * **Half a second for each request.** As long as the database hangs, every request first waits for the timeout. A
#   circuit breaker before the primary makes that a millisecond.
# * **No age.** A copy may be a minute old or a year old.
# * **This code doesn't fill the cache.** If other code does, it may fail unseen, until the night when the copies are
#   needed.
# </details>
#
# <details><summary>And about the exercise's worked solution?</summary>
#
# * **The cache only grows.** The solution keeps an answer for each key forever, even when the answer is far older than
#   `max_stale` and can't be served any more. In production, bound the cache: drop entries older than `max_stale` now
#   and then, or keep the most recent thousand keys.
# * **A listener can spoil the answer.** If `on_degraded` raises, the caller gets that error in place of the old answer.
#   In production, catch and log what a listener raises: a broken metric must not become an outage.
# </details>

# %% [markdown]
# ## What practitioners use
#
# **A cache that shares calls.** `async_lru.alru_cache` remembers results, and concurrent calls share one. Twenty
# callers ask at once, and one of them is cancelled. **How many calls are there, and how many answers?**


# %%
def twenty_ask():
    world = World()
    database = world.service("database", latency=0.2)

    @alru_cache(ttl=60)
    async def cached_page(user):
        return await database(user)

    async def rush():
        tasks = [asyncio.create_task(cached_page(7)) for _ in range(20)]
        await asyncio.sleep(0.1)
        tasks[0].cancel()
        got = await asyncio.gather(*tasks, return_exceptions=True)
        await cached_page.cache_close()
        return sum(isinstance(one, str) for one in got)

    run = simulate(rush, world=world)
    return f"{len(run.timeline.calls())} and {run.value}"


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "How many calls, and how many answers?",
    ["1 and 19", "1 and 0", "2 and 19", "20 and 19"],
    twenty_ask,
    why="The decorator has one task, and a shield for each waiter. It keeps no error: the next caller asks again.",
)

# %% [markdown]
# When the last waiter leaves, `alru_cache` also cancels the call: one way to settle what the exercise leaves open. But
# it doesn't serve an old answer when a call fails. When an entry's `ttl` is over, the entry is gone, just when you
# would be glad of it. A cache becomes a fallback when it keeps entries beyond their freshness, for bad times only.
#
# **HTTP has words for this** (RFC 5861). `Cache-Control: max-age=60, stale-if-error=300` allows a cache to answer with
# something up to 300 s too old if the origin fails. `stale-while-revalidate` allows the old answer while a new one is
# being fetched. nginx has both halves of this notebook: `proxy_cache_use_stale error timeout`, and `proxy_cache_lock
# on`, which is single flight. Go has the package `singleflight`.
#
# **Engineers who run large services warn against fallbacks.** Amazon's Builders' Library ("Avoiding fallback in
# distributed systems") and Google's book on site reliability (chapter "Addressing Cascading Failures") give the same
# reason. A path that is used once a year is an untested path, and it gets its first load on the worst day. So exercise
# it: send a small share of the real traffic through it, every day. A fallback that is always in use is better still,
# and a cache is one.

# %% [markdown]
# ## Questions
#
# <details><summary>Which number would have shown the night of the Guests?</summary>
#
# The share of answers by source: fresh, stale, default, error. Count each answer where it is made; later nothing shows
# where it came from.
# </details>
#
# <details><summary>A flag says whether a user may see the admin pages. The database is down. Do you serve an old
# answer?</summary>
#
# The flag is a permission, so the safe default is "no". That default isn't an invention, as long as it is a documented
# decision and shown as such ("we can't check at the moment"). An old "yes" may have been taken away a minute ago.
# </details>
#
# <details><summary>A shared call fails. Should the callers that joined it fail too, or should each ask again?</summary>
#
# Share the failure as well. If each caller asks again, the stampede is only postponed, to the moment when the database
# is at its weakest.
# </details>
#
# <details><summary>After a deploy all memory is empty. What happens, and what helps?</summary>
#
# The first request for each key goes to the database, and during an outage there is nothing to fall back to. Single
# flight limits the load to one call for each key. A memory outside the process (a cache server), or one that is filled
# before traffic comes, helps with the rest.
# </details>
#
# <details><summary>Why does <code>Served</code> have an age and not only a flag?</summary>
#
# How old is too old depends on the caller. One caller shows an address, another charges a card, and each can decide
# only if it knows the age.
# </details>

# %% [markdown]
# <details><summary>For Rust readers</summary>
#
# * `Ok(Ok(user))`, `Ok(Err(e))` and `Err(_)` in the listing are the three ways out of `timeout(...)`. In Python two of
#   them are exceptions, and `except TimeoutError` also catches a timeout that the database itself raised.
# * An `enum Served<T> { Fresh(T), Stale { value: T, age: Duration } }` is stronger than a flag: code that uses it must
#   say what it does with a stale answer.
# * Dropping a future cancels it, but dropping a `JoinHandle` does *not* cancel its task: `tokio::spawn` does what
#   `create_task` and `shield` do together.
# * Single flight: `futures::future::Shared` for one call, `moka`'s `get_with` and `try_get_with` for a whole cache.
# </details>
