# %% [markdown] lecture="Graceful Degradation"
# # Degradation
#
# **What may I answer when I don't know?** An old answer may be better than none. An invented one never is, and it looks
# just like a success. About 25 minutes to read and try, and 70 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
from collections import Counter

from async_lru import alru_cache

from autograder import check
from faultlab import Timeline, World, axes, error, hang, live, mark, ok, show, simulate
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
# the dashboard was green, and support had 1,200 complaints: *"My page says I am called Guest."* Some users had pressed
# *Save*, and now the database said so too.
#
# The suspect has five lines. Somebody had wanted the error page to go away:


# %%
async def page_of(user, database):
    try:
        return await database(user)
    except Exception:
        return {"user": user, "name": "Guest"}


# %% [markdown]
# Let us live through that night again: four visitors a second for ten minutes, and a database that is down from second
# 120 to second 420. `visit` is what serves a visitor. We write down what each of them got.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def source_of(answer):
    """What a record's reader can tell: our database writes "as of: now", a copy says when it was made."""
    if "as of" not in answer:
        return "default"
    return "fresh" if answer["as of"] == "now" else "stale"


def copy_of_yesterday(call):
    user = call.args[0]
    return ok({"user": user, "as of": "yesterday"}) if user <= 140 else error("KeyError", f"user {user}")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def night_shift(visit):
    """Ten minutes: (second, source) of each visit. Of 200 users some come more often; a copy has 140."""
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
LOOK = {"fresh": ("#009E73", ""), "stale": ("#E69F00", "//"), "default": ("#CC79A7", "xx"), "error": ("#D55E00", "..")}
PLATE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}


def shares(got, step=10):
    """For each source its share of the answers, in percent, step by step."""
    counts = [Counter() for _ in range(0, 600, step)]
    for second, source in got:
        counts[int(second / step)][source] += 1
    return {source: [100 * count[source] / count.total() for count in counts] for source in LOOK}


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def area(got, title):
    """Answers by source over time, as a stacked area; returns the figure and what it says in words."""
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
# This is what the dashboard showed, the success rate: answers that aren't errors.

# %%
fig, ax = axes("What the metrics saw", "seconds", "% success", height=2.2)
ax.plot(range(5, 600, 10), [100 - part for part in shares(green)["error"]], color="#009E73")
ax.set(ylim=(0, 105), xlim=(5, 595))
show(fig, alt="The success rate is a straight line at 100 % for ten minutes.")

# %% [markdown]
# Five minutes of outage, and not a scratch. The second picture sorts the same answers by their **source**: *fresh* from
# the database, or the *default* of the suspect's last line. **What did the users get?**

# %%
picture, words = area(green, "What the users got")
show(picture, alt=words, fold="What happens")

# %% [markdown]
# Half of that night's answers were invented. The success rate couldn't show it, as an invented answer counts as a
# success. Worse, whoever called `page_of` couldn't know it either, and stored it. With an honest error page the line
# above would have fallen to 0 in second 120, and somebody would have been woken.
#
# ## The pattern
#
# To degrade **gracefully** means: **give the best answer that you really have, and say how good it is.** The best one is
# the database's. The next best is what the database said *last time*, with its age. There is no third.


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
# An answer and its age; age 0 means that it comes from the database itself. The same night again:


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
# **How does the picture look?** Who comes for the first time during the outage has no last answer.

# %%
picture, words = area(honest, "Remembered, and said so")
show(picture, alt=words, fold="What happens")

# %% [markdown]
# Nine of ten still got a page, the tenth an honest error, and nobody a lie. And now there is something to put on a
# dashboard: the share of answers **by source**. It would have turned from green to orange in second 120.
#
# How old were the oldest answers?

# %%
estimate(
    "The outage lasts 300 s. How old is the oldest answer that somebody gets?",
    lambda: eldest,
    unit="s",
    tolerance=0.08,
    why="Their user came once, early in the night, and again near the end of the outage. In an outage of a day the "
    "answers would be a day old. So there must be a limit.",
)

# %% [markdown]
# What is fine for an address isn't for a balance; the limit is a decision of whoever knows the data. With at most 120
# seconds, here:

# %%
picture, words = area(honest_night(oldest=120)[0], "Not older than 120 s")
show(picture, alt=words, fold="What happens")

# %% [markdown]
# ## The lecture's listing
#
# It puts three sources in a row: the database, which has half a second; a cache; a default. (`mark` writes down on the
# timeline what the original prints.)


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
# It was made for three visitors: Ann's database answers, Ben's hangs, Cleo's is gone.


# %%
def visitors(behaviour, cached=True):
    """Each of them visits alone; `behaviour` says what the database does. Returns the run, its value who got what."""
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
show(made_for.timeline, order=["ann", "ben", "cleo"])
made_for.value

# %% [markdown]
# All three have a page after 0.6 s at most. Ben waited for half a second: without the timeout he would still wait.
#
# ## One thing changes
#
# ### Warm-up 1: label the answers
#
# Four more visitors, and the same listing:
#
# | | the database says | the cache has |
# |---|---|---|
# | Dan | his page | a copy |
# | Eve | nothing, for ever | a copy |
# | Fay, who deleted her account yesterday | `NotFound` | a copy |
# | Gus, who is new | `ConnectionError` | nothing |


# %%
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
    why="Fay is back from the dead: for the listing `NotFound` is a failure like any other. Gus gets a page that "
    "nobody ever wrote, and it is returned as a success.",
)

# %% [markdown]
# Two clauses of your exercise come from here:
#
# * **`NotFound` is an answer.** The database is well and says that there is nothing. It wins over every copy, and the
#   copy goes.
# * **No invention.** With nothing usable the honest answer is an error, and it names its cause: `raise Unavailable(...)
#   from problem`. The caller may still show a friendly page. It knows then that it does.
#
# And the night with the lecture's listing? It has yesterday's copy of 140 of the 200 users:

# %%
picture, words = area(night_shift(lecture_get_user_with_fallback), "The lecture's listing in that night")
show(picture, alt=words, fold="What happens")

# %% [markdown]
# ## Everybody asks the same
#
# The third thing that changes is the crowd. A popular page: five visitors ask for the same user in the same moment, and
# the database is slow. **How many calls does it get?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def without(timeline, lane):
    """The same without the lane of whoever only sends the others in."""
    return Timeline(tuple(event for event in timeline if event.lane != lane))


# %%
def crowd(ask, names=("ann", "ben", "cleo", "dan", "eve"), gives_up=None, takes=0.4):
    """All ask for user 7, a little one after the other; one may be cancelled at 0.25 s."""
    world = World()
    database = world.service("database", latency=takes)

    async def visit(name, under_way):
        mark("asks")
        if name == gives_up:
            asyncio.get_running_loop().call_at(0.25, asyncio.current_task().cancel)
        try:
            await ask(7, database, under_way)
            mark("has it")
        except asyncio.CancelledError:
            mark("cancelled")
            raise

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


show(crowd(each_for_itself), fold="What happens")

# %% [markdown]
# Five times the same question to a database that is in trouble already. When a popular entry gets too old, or a service
# starts with an empty memory, this is a thousand; it is called a **stampede**, or the thundering herd.
#
# The cure is called **single flight**: who asks first starts a call, who comes later joins it. What must be kept for
# that is the call under way, and in asyncio that is a **task**:


# %%
async def single_flight(user, database, under_way):
    if user not in under_way:
        call = asyncio.create_task(database(user), name="the call")
        call.add_done_callback(lambda _: under_way.pop(user))
        under_way[user] = call
    return await under_way[user]


show(crowd(single_flight), order=["the call"])

# %% [markdown]
# One call, five answers. Between the `if` and the last line no other task can run, since there is no `await` between
# them. So no lock is needed.
#
# One thing is still wrong with this version, and one word will mend it.

# %% [markdown]
# ## asyncio you need
#
# **1. A task can be awaited by many, and at any time.** A coroutine can be awaited once. A task runs by itself; all who
# await it get its result, or its exception, also those who come when it is done. In the last picture Eve came 0.2 s
# after Ann, and had the answer in the same moment.
#
# **2. Who cancels a waiter cancels what it awaits.** A cancellation travels down: from the visitor into the task that it
# awaits. Ben closes his browser at 0.25 s. **What do the others get?**

# %%
show(crowd(single_flight, gives_up="ben"), order=["the call"], fold="What happens")

# %% [markdown]
# Ben alone has left, and all five are cancelled, with the call itself. **`asyncio.shield(task)`** is an await that doesn't
# pass a cancellation on: who waits is cancelled, the task goes on. A waiter alone, without a shield and with one:


# %%
def one_waiter(shielded):
    world = World()
    slow = world.service("slow", latency=0.4)

    async def wait_for(task):
        mark("waits")
        try:
            await (asyncio.shield(task) if shielded else task)
        except asyncio.CancelledError:
            mark("cancelled")
            raise

    async def stage():
        task = asyncio.create_task(slow(), name="the call")
        waiter = asyncio.create_task(wait_for(task), name="waiter")
        await asyncio.sleep(0.25)
        waiter.cancel()
        await asyncio.wait([task, waiter])

    return without(simulate(stage, world=world).timeline, "stage")


show(one_waiter(shielded=False), title="await task", order=["waiter", "the call"], until=0.5)
show(one_waiter(shielded=True), title="await asyncio.shield(task)", order=["waiter", "the call"], until=0.5)

# %% [markdown]
# **3. `task.add_done_callback(f)`** calls `f(task)` as soon as the task is done, *however* it ended: with a result,
# an error, or cancelled. That is the place to tidy up what belongs to the task and not to one of its waiters. Three
# tasks, three endings:


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
        await asyncio.sleep(0.1)

    return without(simulate(stage, world=world).timeline, "stage")


show(three_endings(), order=["result", "error", "cancelled"], until=0.35)

# %% [markdown]
# ### Warm-up 2: mend the cancelled leader
#
# Here the first visitor makes the call itself, and the others wait at a *future*, a promise that somebody fulfils later.
# It looks simpler. Ann, who leads, leaves at 0.25 s, and the cell below the code says what becomes of the rest. Mend it:
# the call must belong to nobody who can leave.


# %%
async def led_by_the_first(user, database, under_way):
    if user in under_way:
        return await under_way[user]
    under_way[user] = asyncio.get_running_loop().create_future()
    value = await database(user)
    under_way.pop(user).set_result(value)
    return value


# %%
def leader_leaves():
    try:
        timeline = crowd(led_by_the_first, gives_up="ann", takes=0.4)
    except Exception as problem:
        return f"Ann leaves, and the others wait for ever at her future ({type(problem).__name__})."
    served = [seen.lane for seen in timeline.marks("has it")]
    calls = len(timeline.calls("database"))
    if len(served) < 4:
        return f"Ann leaves, and only {len(served)} of the other four get an answer: {', '.join(served) or 'nobody'}."
    return "" if calls == 1 else f"the database got {calls} calls for one question."


_ = mended(
    leader_leaves,
    well="Mended: Ann has left, and the other four have the answer of one call.",
    hint="Let a task make the call, as `single_flight` does. What must a waiter put around it when it awaits?",
)

# %% [markdown]
# ## Exercise: `Fallback`
#
# *6 points.* Given are two errors and the answer's class. An answer says how good it is:


# %% toolkit="true"
class NotFound(Exception):
    """The primary has answered: there is nothing under this key."""


class Unavailable(Exception):
    """Nobody knows at the moment."""


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
# `primary(key)` gives an awaitable, `on_degraded(served)` is a plain function. Times are in seconds.
#
# **Old answers.**
#
# * The primary is asked first, at each `get`. Its answer is returned (`"primary"`, age 0, not degraded) and kept.
# * It raises any other `Exception` than `NotFound`, or takes longer than `primary_timeout`: the kept answer is returned
#   (`"cache"`, its age, degraded), if it isn't older than `max_stale`, and reported through `on_degraded(served)`.
#
# **No answer.**
#
# * `NotFound` is an *answer*: what was kept is thrown away, and `NotFound` comes out.
# * Nothing usable: `Unavailable`, raised `from` the primary's failure. Never an invention.
# * Being served makes no answer younger, and when the primary is back, that is noticed.
#
# **Single flight.**
#
# * Concurrent gets of one key share one call to the primary, however it ends. A caller that is cancelled leaves at once;
#   the shared call goes on, and the others get what it brings.
#
# These are the three steps: `check("degradation", step=1)` judges the first alone.
#
# Left open, so do as you like: whether `on_degraded` is called once for a shared call or once for each caller; whether a
# call goes on when *all* callers have left; and how much of the timeout is left for somebody who joins late.
#
# The checks promise: no clause that isn't written here, and no test in which two times are exactly equal. `asyncio` and
# `math` are imported.


# %% exercise="degradation"
class Fallback:
    """Answers of a primary, and the last one that it gave while it is in trouble."""

    def __init__(self, primary, *, primary_timeout=0.5, max_stale=300.0, on_degraded=lambda served: None):
        """Ask `primary(key)`, at most for `primary_timeout` s; keep its answers for `max_stale` s."""
        ### BEGIN SOLUTION
        self.primary = primary
        self.primary_timeout = primary_timeout
        self.max_stale = max_stale
        self.on_degraded = on_degraded
        self.cache = {}  # key: value and when it came
        self.under_way = {}  # key: task
        ### END SOLUTION

    async def get(self, key):
        """A Served of the primary or the cache; raises NotFound or Unavailable."""
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
# Forget sharing at first. A `_ask(key)` with a `try`: `asyncio.timeout` around `await self.primary(key)`. Then list its
# ways out: an answer, `NotFound`, any other `Exception`. What does each of them do to the cache?
# </details>
#
# <details><summary>Hint 2: sharing</summary>
#
# A second dict, from key to *task*. Who finds no task there makes one of `self._ask(key)`; everybody awaits
# `asyncio.shield(task)`. The task leaves the dict when it is done, however it ended: `task.add_done_callback(...)`.
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
# Nothing here needs the virtual clock. `remembered` from above, for five real calls: the second one hangs, the third
# fails. **How long does the cell take, and how old is the oldest answer?**


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
# About a second, and half of it is the timeout of the second call. The fourth call noticed by itself that the database
# is back, because the database is asked each time.
#
# ## Code review
#
# <details><summary>What else would you say about the lecture's listing?</summary>
#
# * **An error that can't happen.** It returns `Result<User, ApiError>`, but no path leads to `Err`. The type promises
#   honesty that the code doesn't keep.
# * **Printed, not counted.** "Served from cache (degraded)" goes to standard error. The caller doesn't see it, nor does a
#   dashboard. In your exercise it is in the answer (`source`, `age`, `degraded`) and goes to `on_degraded`.
# * **No timeout on the cache.** It is another service across a network. When it hangs, so does everything.
# * **Half a second for each request.** As long as the database hangs, every request first waits out the timeout. A
#   circuit breaker before the primary makes that a millisecond.
# * **No age.** A copy may be a minute old or a year.
# * **Nobody fills the cache here.** If something else does, it may fail unseen, until the night when it is needed.
# </details>

# %% [markdown]
# ## What practitioners use
#
# **A cache that shares calls.** `async_lru.alru_cache` remembers results, and its concurrent calls share one. Twenty ask
# at once, one of them is cancelled: **how many calls, and how many answers?**


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


predict(
    "How many calls, and how many answers?",
    ["1 and 19", "1 and 0", "2 and 19", "20 and 19"],
    twenty_ask,
    why="One task, and a shield for each waiter, inside the decorator. An error isn't remembered: the next one asks anew.",
)

# %% [markdown]
# When the last waiter leaves, it also cancels the call: one way to settle what the exercise leaves open. What it doesn't
# do is serve an old answer when a call fails. When its `ttl` is over, the entry is gone, just when you would be glad of
# it. Keeping an entry beyond its freshness, for bad times only, is what makes a cache a fallback.
#
# **HTTP has words for it** (RFC 5861). `Cache-Control: max-age=60, stale-if-error=300` allows a cache to answer with
# what is up to 300 s too old if the origin fails; `stale-while-revalidate` allows the old answer while a new one is being
# fetched. nginx has both halves of this notebook: `proxy_cache_use_stale error timeout` and `proxy_cache_lock on`, which
# is single flight. In Go it is the package `singleflight`.
#
# **Who operates big services warns of fallbacks.** Amazon's Builders' Library ("Avoiding fallback in distributed
# systems") and Google's book on site reliability (chapter "Addressing Cascading Failures") give the same reason: a path
# that is used once a year is a path that nobody has tested, and it gets its first load on the worst day. So exercise
# it: send a small share of the real traffic through it, every day. Better still is a fallback that is always in use, as
# a cache is.

# %% [markdown]
# ## Questions
#
# <details><summary>Which number would have shown the night of the Guests?</summary>
#
# The share of answers by source: fresh, stale, default, error. Count it where the answer is made; nobody can tell
# later.
# </details>
#
# <details><summary>A flag says whether a user may see the admin pages. The database is down. An old answer?</summary>
#
# It is a permission: the safe default is "no", and that is no invention, as long as it is a decision that is written
# down and shown as such ("we can't check at the moment"). An old "yes" may be one that was taken away a minute ago.
# </details>
#
# <details><summary>A call under way is shared, and it fails. What should the joined ones do: fail too, or each ask
# again?</summary>
#
# Share the failure as well. If each asks again, the stampede has only been put off, to the moment when the database is
# at its weakest.
# </details>
#
# <details><summary>All memory is empty after a deploy. What happens, and what helps?</summary>
#
# Each first request goes to the database, and during an outage there is nothing to fall back to. Single flight limits
# it to one call for each key. A memory outside of the process (a cache server), or one filled before traffic comes,
# helps with the rest.
# </details>
#
# <details><summary>Why does <code>Served</code> have an age and not only a flag?</summary>
#
# How old is too old depends on who asks. The caller who shows an address and the one who charges a card can each decide
# only if they know.
# </details>

# %% [markdown]
# <details><summary>For Rust readers</summary>
#
# * `Ok(Ok(user))`, `Ok(Err(e))` and `Err(_)` in the listing are the three ways out of `timeout(...)`; in Python two of
#   them are exceptions, and `except TimeoutError` also catches a timeout that the database itself raised.
# * An `enum Served<T> { Fresh(T), Stale { value: T, age: Duration } }` is stronger than a flag: who uses it must say what
#   it does with a stale one.
# * Dropping a future cancels it, and a `JoinHandle` that is dropped does *not* cancel its task: `tokio::spawn` is what
#   `create_task` and `shield` are together.
# * Single flight: `futures::future::Shared` for one call, `moka`'s `get_with` and `try_get_with` for a whole cache.
# </details>
