# %% [markdown]
# # Retry
#
# **When do I try again?** A call has failed. Perhaps the next one works: that costs a line or two. But you are never
# alone: whatever you do, everybody else who was hit by the same failure does it too, at the same moment.
#
# About 35 minutes to read, 40 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
from collections import deque

from autograder import check
from faultlab import World, axes, error, hang, live, mark, ok, show, simulate
from faultlab.explore import explore
from faultlab.lanes import compare
from faultlab.notebook import start
from faultlab.raster import raster
from faultlab.warmup import arrange, estimate, predict

start()

# %%
import asyncio
import random
import time

# %% [markdown]
# ## An incident: a hundred clients come back together
#
# A payment service restarts. It is back after a moment, and it is quick: it takes ten calls in any tenth of a second,
# a hundred a second in all. Whatever comes on top of that it refuses at once.


# %%
def crowded(limit=10, window=0.1):
    """Answers `limit` calls in any `window` seconds, and refuses the others."""
    answered = deque(maxlen=limit)

    def script(call):
        if len(answered) == limit and call.at - answered[0] < window:
            return error("ConnectionError")
        answered.append(call.at)
        return ok()

    return script


# %% [markdown]
# A hundred clients lost their connection in the restart. Each of them does the sensible thing: wait a second, try
# again, until it works.


# %%
async def insist(service):
    while True:
        try:
            return await service()
        except ConnectionError:
            await asyncio.sleep(1)


def herd(client, clients=100):
    world = World()
    service = world.service("payments", crowded(), latency=0.05)

    async def main():
        async with asyncio.TaskGroup() as group:
            for number in range(1, clients + 1):
                group.create_task(client(service), name=f"client {number}")

    return simulate(main, world=world).timeline


# %% [markdown]
# A hundred clients, a hundred calls a second. By that arithmetic the last one is served after one second. **What do
# you expect to see?** Each client is a row, each call a dot; below, how many calls arrive in each tenth of a second.


# %%
def summary(name, timeline):
    return f"{name}: {len(timeline.calls()):,} calls, the last client is served after {timeline.duration:.1f} s"


waves = herd(insist)
show(raster(waves, bin=0.1, title=summary("A pause of one second", waves)), fold="What happens")

# %% [markdown]
# Nine and a half seconds, although nobody did anything wrong. All who were refused together wait together and come
# back together: ten get in, the others are refused *together* again. Between two waves the service has nothing to do.
# It is idle nine tenths of the time, and it still refuses most of its calls.
#
# This is the **thundering herd**. A real service does worse than ours: a refusal costs it work too, and a wave may
# knock it over again. Keep the picture in mind; by the middle of this notebook you will dissolve it with one slider.

# %% [markdown] lecture="Retry Patterns"
# ## The pattern
#
# > **Try again, a few times, after a pause.** If the last attempt fails too, let its error go to the caller.
#
# As code, in its smallest form:


# %%
async def try_again(operation, attempts=4, pause=0.3):
    for number in range(1, attempts + 1):
        try:
            return await operation()
        except ConnectionError:
            if number == attempts:
                raise
        await asyncio.sleep(pause)


# %% [markdown]
# To watch it we need a service that fails a few times and then works, and callers beside each other, a lane for each.
# What a caller gets in the end, a result or an error, is written into its lane.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def ending_shown(coroutine):
    try:
        await coroutine
        mark("result")
    except Exception as problem:
        mark("raised", type(problem).__name__)


async def beside_each_other(callers):
    """Run these coroutines (by name) side by side, a lane each, to their ends."""
    await asyncio.gather(*(asyncio.create_task(ending_shown(one), name=name) for name, one in callers.items()))


def flaky(world, failures, latency=0.05, name="service"):
    return world.service(name, [error("ConnectionError")] * failures, latency=latency)


# %% cover="true"
def two_callers(caller):
    world = World()
    lucky, unlucky = flaky(world, failures=2, name="flaky"), flaky(world, failures=99, name="dead")
    return simulate(beside_each_other({"lucky": caller(lucky), "unlucky": caller(unlucky)}), world=world).timeline


show(two_callers(try_again), title="Two failures, then an answer; and a service that is dead")

# %% [markdown]
# Most failures of a network are over in a moment, so a second attempt costs little and saves much. Two numbers are
# left to choose, and everything in this notebook is about them: **how many** attempts, and **how long** the pauses.

# %% [markdown] lecture="Simple Retry with Exponential Backoff"
# ## The lecture's first listing: exponential backoff
#
# If the service isn't well after 0.1 s, it may need 0.2 s; if not then, 0.4 s. The pause doubles after every failure,
# and so the pressure on a service in trouble falls quickly. The listing, in Python (what it prints goes to a log
# here):

# %% lecture="retry_with_backoff"
import logging

lecture_log = logging.getLogger("lecture")


async def lecture_retry_with_backoff(operation, max_retries):
    attempt = 0
    while True:
        try:
            return await operation()
        except Exception as problem:
            attempt += 1
            if attempt > max_retries:
                lecture_log.info("All %d retries failed", max_retries)
                raise
            delay = 0.1 * 2 ** (attempt - 1)
            lecture_log.info("Attempt %d failed: %r. Retrying in %g s", attempt, problem, delay)
        await asyncio.sleep(delay)


# %% lecture="example"
async def lecture_example(fetch_from_unreliable_api):
    return await lecture_retry_with_backoff(lambda: fetch_from_unreliable_api(), 3)


# %% [markdown]
# ### Warm-up 1: count the calls


# %%
def dead_calls():
    world = World()
    simulate(lecture_example(flaky(world, failures=99)), world=world, catch=True)
    return len(world.timeline().calls())


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The service is dead, and `max_retries` is 3. How often is it called?",
    [2, 3, 4, 5],
    dead_calls,
    why="A first try and three retries. Many an off-by-one mistake begins with this name; "
    "in the exercise the number is called `max_attempts` and counts every call.",
)

# %%
show(two_callers(lecture_example), title="The lecture's backoff: 0.1 s, 0.2 s, 0.4 s", fold="What happens")

# %% [markdown]
# It does what it was meant to do. Now one thing in its world changes at a time.
#
# ### More retries
#
# Somebody raises `max_retries` from 3 to 20, to be on the safe side.


# %%
def hours_until_told(retries):
    world = World()
    dead = world.service("dead", lambda call: error("ConnectionError"))
    run = simulate(lecture_retry_with_backoff(dead, retries), world=world, catch=True)
    return run.timeline.duration / 3600


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "Twenty retries on a dead service: after how many hours does the caller hear of it?",
    lambda: hours_until_told(20),
    unit="hours",
    tolerance=0.2,
    why="Twenty doublings make a million of 0.1 s. To find it out took no time: the clock here is virtual.",
)

# %% [markdown]
# A **cap** ends the doubling: no pause is longer than, say, 2 s. How much is that worth? The vertical axis is
# logarithmic: on it, doubling again and again is a straight line.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def waited(retries, cap=float("inf")):
    """Seconds that this many retries wait altogether."""
    return sum(min(cap, 0.1 * 2**number) for number in range(retries))


def wait_chart(numbers=range(1, 21)):
    fig, ax = axes("All pauses together, on a dead service", "retries", "", height=3.4)
    ax.plot(numbers, [waited(number) for number in numbers], marker="o", label="no cap")
    ax.plot(numbers, [waited(number, 2.0) for number in numbers], marker="s", label="cap 2 s")
    ax.set_yscale("log")
    ax.set_yticks([0.1, 1, 10, 60, 600, 3600, 36000], ["0.1 s", "1 s", "10 s", "1 min", "10 min", "1 h", "10 h"])
    ax.minorticks_off()
    ax.set_xticks([1, 3, 5, 10, 15, 20])
    for number, words, place in ((3, "0.7 s", (-8, 6)), (10, "102 s", (-8, 6)), (20, "29 h", (-10, 2))):
        ax.annotate(words, (number, waited(number)), place, textcoords="offset points", fontsize=9, ha="right")
    ax.annotate(f"{waited(20, 2.0):.0f} s", (20, waited(20, 2.0)), (0, -16), textcoords="offset points", fontsize=9)
    ax.legend(frameon=False)
    return fig


show(
    wait_chart(),
    alt="Seconds waited in all against the number of retries, logarithmic. Without a cap it is a straight line: "
    "0.7 s for 3 retries, 102 s for 10, 29 hours for 20. With a cap of 2 s it bends after five and ends at 33 s.",
)

# %% [markdown]
# ### An error that doesn't go away
#
# The service is well, but what is asked for doesn't exist. **How often will the service have to say so?**


# %%
def not_there():
    world = World()
    service = world.service("service", lambda call: error("LookupError", "no such user"), latency=0.05)
    return simulate(beside_each_other({"caller": lecture_example(service)}), world=world).timeline


show(not_there(), title="An error that doesn't go away", fold="What happens")

# %% [markdown]
# `except Exception` takes every error for a passing one. The service answers the same question four times, and the
# caller learns 0.7 s late what was known at once. So a retry must be told *which* errors may be tried again:
#
# | what came back | again? | because |
# |---|---|---|
# | connection refused or lost | yes | the next attempt may find a healthy machine |
# | timeout | yes, if twice does no harm | perhaps it was only slow; perhaps it *was* done, and the answer got lost |
# | "too many requests" (429), "unavailable" (503) | yes, but not before it says | the service asks for time |
# | "not found" (404), "invalid" (400) | no | the same question has the same answer |
# | `KeyError`, `TypeError` | no | a bug of ours: let it be seen |
# | `CancelledError` | never | somebody wants us to stop |
#
# "If twice does no harm" is the difference between reading a balance and charging a card. An operation that may be
# done twice without harm is called **idempotent**. Others become so by a key that the client invents once for each
# payment and sends with every attempt: the server does the work for the first one and repeats the answer for the
# rest.
#
# ### A hundred of them
#
# Back to the hundred clients, now with the lecture's exponential backoff. The pauses grow. **Will the waves go
# away?**

# %%
doubling = herd(lambda service: lecture_retry_with_backoff(service, 20))
show(raster(doubling, bin=0.5, title=summary("Exponential backoff", doubling)), fold="What happens")

# %% [markdown]
# They don't: the same ten waves, only ever further apart. Everybody doubles the same number, so everybody comes back
# at the same instant. What is missing isn't patience but *difference*.

# %% [markdown] lecture="Retry with Jitter"
# ## The lecture's second listing: jitter
#
# So let chance decide a part of each pause. That is **jitter**. The lecture adds up to half of the pause on top of
# it:


# %% lecture="retry_with_jitter"
async def lecture_retry_with_jitter(operation, max_retries):
    attempt = 0
    while True:
        try:
            return await operation()
        except Exception:
            attempt += 1
            if attempt > max_retries:
                raise
            base_delay = 0.1 * 2 ** (attempt - 1)
            jitter = random.uniform(0, base_delay / 2)
            delay = base_delay + jitter
            lecture_log.info("Retry %d after %g s", attempt, delay)
        await asyncio.sleep(delay)


# %% [markdown]
# Five clients of a service that fails three times for each of them. They start together. **Look where their second
# attempts lie, and where their fourth.**


# %%
def five_clients(caller):
    world = World()
    service = flaky(world, failures=15)
    callers = {f"client {number}": caller(service) for number in range(1, 6)}
    return simulate(beside_each_other(callers), world=world, seed=4).timeline


show(five_clients(lambda service: lecture_retry_with_jitter(service, 3)), title="The lecture's jitter", table=False)

# %% [markdown]
# They drift apart, and more so with each attempt. One thing stays: after a failure *nobody* comes back before the
# full exponential pause is over. Two thirds of the time in between are a hole in which the service waits for its
# clients.
#
# ### Is this real?
#
# So far a virtual clock has jumped from one instant to the next. Nothing in the lecture's function knows of that.
# Here the same function waits real tenths of a second, above; the virtual run stands below it.


# %%
def three_failures():
    world = World()
    return world, beside_each_other({"caller": lecture_retry_with_jitter(flaky(world, failures=3), 3)})


world, on_real_clock = three_failures()
began = time.perf_counter()
real = await live(on_real_clock, world=world)
print(f"{real.timeline.duration:.2f} s on the timeline, {time.perf_counter() - began:.2f} s on the clock at the wall")

# %%
world, on_virtual_clock = three_failures()
virtual = simulate(on_virtual_clock, world=world)
show(compare(real.timeline, virtual.timeline, titles=("on the real clock", "on the virtual clock")), table=False)

# %% [markdown]
# The pauses differ because chance draws others each time; the real run's are drawn as gaps. All else is the same.
#
# ## Six recipes for a pause
#
# There is more than one way to mix doubling with chance. These six have names; `ceiling` is the doubled and capped
# pause.


# %%
def pause_by(recipe, n, last, base, cap, rng=random):
    """The pause after attempt n (1, 2, ...), in seconds; `last` is the pause before."""
    ceiling = min(cap, base * 2 ** min(n - 1, 1000))
    match recipe:
        case "none":
            return 0.0
        case "exponential":
            return ceiling
        case "the lecture's":
            return ceiling + rng.uniform(0, ceiling / 2)
        case "equal":
            return ceiling / 2 + rng.uniform(0, ceiling / 2)
        case "full":
            return rng.uniform(0, ceiling)
        case "decorrelated":
            return min(cap, rng.uniform(base, 3 * last))


RECIPES = ["none", "exponential", "the lecture's", "equal", "full", "decorrelated"]

# %% [markdown]
# Look for the holes: **which of them leaves none?** Five hundred pauses after a third failure, where the doubled
# pause is 0.4 s:


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def third_pause(recipe, rng, base=0.1, cap=2.0):
    last = base
    for n in (1, 2, 3):
        last = pause_by(recipe, n, last, base, cap, rng)
    return last


def pause_chart():
    fig, ax = axes("The pause after the third failure", "seconds", "", height=3.0)
    rng = random.Random(5)
    for row, recipe in enumerate(reversed(RECIPES)):
        pauses = [third_pause(recipe, rng) for _ in range(500)]
        ax.scatter(pauses, [row + rng.uniform(-0.28, 0.28) for _ in pauses], s=3, color="#0072B2", alpha=0.6)
    ax.set_yticks(range(6), RECIPES[::-1])
    ax.axvline(0.4, color="#222222", linewidth=1)
    ax.annotate("doubled pause", (0.4, 5.45), (5, 0), textcoords="offset points", fontsize=9)
    ax.set(xlim=(-0.02, 1.6), ylim=(-0.5, 5.8))
    return fig


show(
    pause_chart(),
    alt="Five hundred pauses for each recipe. None: all at 0. Exponential: all at 0.4 s. The lecture's: from 0.4 to "
    "0.6 s. Equal: 0.2 to 0.4 s. Full: everywhere from 0 to 0.4 s. Decorrelated: from 0.1 s on, most below 1 s.",
)

# %% [markdown]
# **Full jitter** draws the whole pause, from nothing to the ceiling. Its pauses are on average a good deal *shorter*
# than the lecture's (half a ceiling against one and a quarter). Shouldn't it then put more pressure on the service?
# See for yourself. First guess which recipe serves the last client soonest, and which makes the fewest calls. Then
# move the sliders.


# %%
def herd_by(recipe="exponential", clients=100, base=0.1, cap=2.0):
    async def client(service):
        n, pause = 0, base
        while True:
            try:
                return await service()
            except ConnectionError:
                n += 1
                pause = pause_by(recipe, n, pause, base, cap)
            await asyncio.sleep(pause)

    timeline = herd(client, clients)
    return raster(timeline, bin=0.1, until=max(5.0, timeline.duration), title=summary(recipe.capitalize(), timeline))


explore(
    herd_by,
    alt="Each call of a hundred clients as a dot, and how many arrive in each tenth of a second.",
    labels={"base": "base (s)", "cap": "cap (s)"},
    recipe=RECIPES,
    clients=(10, 200, 10),
    base=(0.05, 1.0, 0.05),
    cap=(0.1, 10.0, 0.1),
)

# %% [markdown]
# Things to find with the sliders:
#
# * Go from *exponential* to *full*. The herd dissolves: the waves turn into rain.
# * Choose *the lecture's*. The waves are softer, and the holes are still there.
# * Choose *none*. What does it gain, and what does it cost?
# * With *full*, make the cap smaller and smaller. What becomes of the number of calls?

# %%
show(herd_by("full"), fold="A hundred clients with full jitter", table=False)
show(herd_by("the lecture's"), fold="A hundred clients with the lecture's jitter", table=False)
show(herd_by("none"), fold="A hundred clients that don't pause at all", table=False)

# %% [markdown]
# ## What it costs
#
# The best-known measurement of this comes from Amazon. There, many clients want to change one record in a database;
# of all who have read the same version only the first may write, the others must read again. The simulation behind it
# is public ([Exponential Backoff and
# Jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), 2015; code:
# aws-samples/aws-arch-backoff-simulator). The same model, with its numbers: each message takes about 10 ms (normally
# distributed, deviation 2 ms), base 5 ms, cap 2 s.


# %%
import heapq


def contend(clients, recipe, rng, base=5, cap=2000):
    """Everybody wants to write one record: calls in all, and when the last write is confirmed (ms)."""

    def net():
        return abs(rng.gauss(10, 2))

    arrivals = [(net(), client, None, 0, base) for client in range(clients)]
    heapq.heapify(arrivals)
    version = calls = done = 0
    while arrivals:
        at, client, seen, failures, pause = heapq.heappop(arrivals)
        if seen is None:  # a read: the write that follows carries the version that it saw
            heapq.heappush(arrivals, (at + net() + net(), client, version, failures, pause))
            continue
        calls += 1
        if seen == version:
            version += 1
            done = at + net()
        else:
            failures += 1
            pause = pause_by(recipe, failures + 1, pause, base, cap, rng)
            heapq.heappush(arrivals, (at + net() + pause + net(), client, None, failures, pause))
    return calls, done


# %% [markdown]
# (Its first ceiling is twice the base: that model counts its failures from one where we count from zero.)


# %%
def contended(recipe, clients, trials=5):
    """Calls and seconds, each the mean of a few trials."""
    rng = random.Random(2015)
    runs = [contend(clients, recipe, rng) for _ in range(trials)]
    return sum(calls for calls, _ in runs) / trials, sum(done for _, done in runs) / trials / 1000


CROWDS = (10, 25, 50, 75, 100)
CONTENDED = {recipe: [contended(recipe, clients) for clients in CROWDS] for recipe in RECIPES}

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "A hundred clients, one record: with which recipe is the last client done first?",
    RECIPES,
    lambda: min(RECIPES, key=lambda recipe: CONTENDED[recipe][-1][1]),
    why="This server takes any number of calls without getting slower, so who never pauses is never late. "
    "The price is in the next picture.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
LEFT_OF_DOT = ("none", "exponential", "full")


def cost_chart():
    fig, ax = axes("A hundred clients: work and time", "calls in all", "last client done", height=3.6)
    for recipe in RECIPES:
        calls, seconds = CONTENDED[recipe][-1]
        ax.plot(calls, seconds, marker="o", markersize=8, linestyle="none")
        words, left = f"{recipe}: {calls:,.0f} calls, {seconds:.1f} s", recipe in LEFT_OF_DOT
        look = {"textcoords": "offset points", "fontsize": 9, "ha": "right" if left else "left", "va": "center"}
        ax.annotate(words, (calls, seconds), (-9 if left else 9, 0), **look)
    ax.set_yscale("log")
    ax.set_yticks([1, 2, 5, 10, 20, 50, 100], ["1 s", "2 s", "5 s", "10 s", "20 s", "50 s", "100 s"])
    ax.minorticks_off()
    ax.set(xlim=(0, 2700), ylim=(1, 120))
    return fig


show(
    cost_chart(),
    alt="Calls against the time of the last client, for a hundred clients. None: most calls, 2 s. Exponential: "
    "nearly as many, more than 60 s. The lecture's, equal and full jitter: about 800 calls each, in 10, 7 and 5 s. "
    "Decorrelated: about 1,000 calls in 4.5 s.",
    fold="What happens",
)

# %% [markdown]
# * **None finishes first and costs most**: three times the work of full jitter. Work, not time, is what a service in
#   trouble can't spare.
# * **Exponential without jitter** is the worst of both: the herd stays together, and waits.
# * **The lecture's jitter** makes as few calls as full jitter and needs twice the time. That is its hole.
# * **Decorrelated** is about as quick as full, for a quarter more calls.
#
# And with fewer clients, or more?


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def growth_chart():
    fig, ax = axes("The work grows with the crowd", "clients", "calls in all", height=3.4)
    for recipe in RECIPES:
        ax.plot(CROWDS, [calls for calls, _ in CONTENDED[recipe]], marker="o", markersize=4, label=recipe)
    ax.legend(frameon=False, fontsize=9)
    ax.set(xlim=(0, 105), ylim=(0, None))
    return fig


show(
    growth_chart(),
    alt="Calls against the number of clients. At 10 clients all recipes are near 50. At 100 none needs 2,400, "
    "exponential 1,850, decorrelated 1,000, and the lecture's, equal and full lie on one line at 800.",
)

# %% [markdown]
# Jitter pays when there is a crowd; ten clients hardly notice it. Compare with the published numbers at a hundred
# clients (means of 100 trials):

# %%
PUBLISHED = {
    "none": (2420, 2.025),
    "exponential": (1848, 63.290),
    "equal": (812, 6.574),
    "full": (795, 4.892),
    "decorrelated": (997, 4.677),
}
print(f"{'':14} {'published':>18} {'here':>18}")
for recipe, (calls, seconds) in PUBLISHED.items():
    own_calls, own_seconds = CONTENDED[recipe][-1]
    print(f"{recipe:14} {calls:>9,} {seconds:>6.1f} s {own_calls:>9,.0f} {own_seconds:>6.1f} s")

# %% [markdown]
# Read such numbers with care. The time is that of the *last* client. Which of full and decorrelated is quicker
# depends on the crowd: from 140 clients on it is full. And the trouble here is contention for one record, not an
# overloaded server. Against overload that feeds on its own retries, jitter alone doesn't help at all; the last
# notebook shows that collapse, and its cure, a **retry budget**: a client may spend on retries only a small share of
# its calls, say one in ten.

# %% [markdown]
# ## Two limits from outside
#
# ### `Retry-After`: the service knows better
#
# A service that knows when it will be back can say so: HTTP has the header `Retry-After` for it. Here the error
# carries it as `retry_after`, in seconds. The service is away for the first 1.4 s. **How many calls does a caller
# save that listens?**


# %%
async def listening(service):
    while True:
        try:
            return await service()
        except ConnectionError as problem:
            await asyncio.sleep(problem.retry_after)


def away(call, back=1.4):
    return error("ConnectionError", retry_after=back - call.at) if call.at < back else ok()


def deaf_and_listening():
    world = World()
    service = world.service("service", away, latency=0.05)
    return simulate(
        beside_each_other({"deaf": lecture_retry_with_backoff(service, 9), "listening": listening(service)}),
        world=world,
    ).timeline


show(deaf_and_listening(), title="Away for 1.4 s", fold="What happens")

# %% [markdown]
# Three calls, and a quarter of a second. So the hint is a *floor*: the pause may be longer, never shorter, even if
# that is more than our own cap. (A service that tells everybody the same second builds itself a new herd. Whoever
# writes that service should spread its hints.)
#
# ### A deadline: somebody is waiting
#
# The user behind a call leaves after two seconds. Whatever a retry does later is done for nobody. Two ways to respect
# that deadline suggest themselves. **What is wrong with each?**


# %%
async def cut_off(service):
    async with asyncio.timeout(2):
        return await lecture_retry_with_backoff(service, 9)


async def looks_late(service):
    clock = asyncio.get_running_loop().time
    start, pause = clock(), 0.1
    while clock() - start < 2:
        try:
            return await service()
        except ConnectionError:
            await asyncio.sleep(pause)
            pause *= 2
    raise TimeoutError("too late")


def two_deadlines():
    world = World()
    slow = flaky(world, failures=99, latency=0.4)
    return simulate(beside_each_other({"cut off": cut_off(slow), "looks late": looks_late(slow)}), world=world).timeline


show(two_deadlines(), title="A deadline of two seconds, respected in two wrong ways", fold="What happens")

# %% [markdown]
# The first one is cut in the middle of its fourth attempt: was that payment made, or not? The second one sleeps past
# the deadline before it looks, and what it raises in the end hides what went wrong. Better to think *before* the
# pause: when would the next attempt start? If that is too late, the time to give up is now, with the error at hand.
#
# `asyncio.get_running_loop().time()` is the clock to ask. It only ever goes forward, which can't be said of the clock
# at the wall.

# %% [markdown]
# ## asyncio you need
#
# **1. A coroutine is used up by one `await`.** `service()` makes a coroutine, `service` is what makes them. A second
# attempt needs a second coroutine, so a retry is given the function, not its result.


# %%
async def same_coroutine(service):
    attempt = service()
    try:
        return await attempt
    except ConnectionError:
        return await attempt  # it has run already


async def fresh_coroutine(service):
    try:
        return await service()
    except ConnectionError:
        return await service()


def twice():
    world = World()
    service = flaky(world, failures=2)
    callers = {"the same": same_coroutine(service), "a fresh one": fresh_coroutine(service)}
    return simulate(beside_each_other(callers), world=world).timeline


show(twice(), title="Awaited twice, and made twice", table=False)

# %% [markdown]
# **2. `asyncio.sleep` lets others run, `time.sleep` stops everybody.** Between two awaits nobody else has a turn, and
# `time.sleep` is no await. Left to itself the neighbour calls every 0.2 s:


# %%
async def sleeps_badly(service):
    try:
        return await service()
    except ConnectionError:
        time.sleep(1)
    return await service()


async def neighbour(service):
    for _ in range(8):
        await service()
        await asyncio.sleep(0.2)


def blocked_neighbour():
    world = World()
    failing, well = flaky(world, failures=1, name="failing"), flaky(world, failures=0, name="well")
    callers = {"time.sleep": sleeps_badly(failing), "neighbour": neighbour(well)}
    return simulate(beside_each_other(callers), world=world).timeline


show(blocked_neighbour(), title="One sleeps, nobody moves", table=False)

# %% [markdown]
# **3. To cancel is to raise.** When a task is cancelled, `CancelledError` comes up at the `await` where the task
# stands: in the service's call or in the pause. It is not an `Exception`, so `except Exception` lets it pass. An
# `except:` without a class, or `except BaseException`, takes it for one more failure:


# %%
async def wont_stop(service):
    while True:
        try:
            return await service()
        except BaseException:
            await asyncio.sleep(0.3)


async def impatient(coroutines):
    tasks = [asyncio.create_task(one, name=name) for name, one in coroutines.items()]
    await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    mark("cancels both")
    await asyncio.sleep(1)


def two_cancelled():
    world = World()
    hanging = world.service("hanging", then=hang())
    coroutines = {"stops": lecture_retry_with_backoff(hanging, 9), "won't stop": wont_stop(hanging)}
    return simulate(impatient(coroutines), world=world).timeline


show(two_cancelled(), title="Cancelled at 0.5 s, while the service doesn't answer", table=False)

# %% [markdown]
# ## Two more warm-ups
#
# ### Warm-up 2: a shuffled loop
#
# These lines are a retry with exponential backoff and a cap, without jitter. It doubles in another way than the
# lecture.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
LOOP = [
    "async def patient(op, attempts=5, base=0.1, cap=0.3):",
    "    pause = base",
    "    for left in reversed(range(attempts)):",
    "        try:",
    "            return await op()",
    "        except ConnectionError:",
    "            if left == 0:",
    "                raise",
    "        await asyncio.sleep(pause)",
    "        pause = min(cap, 2 * pause)",
]


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def loop_trial(code):
    names = {"asyncio": asyncio}
    try:
        exec(code, names)
    except (SyntaxError, NameError) as problem:
        return f"Python says: {problem.args[0]}"
    world = World()
    run = simulate(lambda: names["patient"](world.service("dead", lambda call: error())), world=world, catch=True)
    return loop_fault(run)


def loop_fault(run):
    calls, slept = run.timeline.calls(), [round(pause.until - pause.start, 2) for pause in run.timeline.pauses()]
    if len(calls) != 5 or not isinstance(run.error, ConnectionError):
        return f"on a dead service it made {len(calls)} calls of 5 and ended with {run.error!r}"
    return (
        ""
        if slept == [0.1, 0.2, 0.3, 0.3]
        else f"it paused {slept} s; with base 0.1 and cap 0.3 it is 0.1, 0.2, 0.3, 0.3"
    )


# %%
arrange("In which order do these lines make five attempts with pauses of 0.1, 0.2, 0.3 and 0.3 s?", LOOP, loop_trial)

# %% [markdown]
# ### Warm-up 3: three mutants
#
# Three retries with one mistake each, on a dead service. All three were asked for four attempts, a base of 0.2 s, and
# pauses that double. Their code stays hidden, you see only what they did:

# %% tags=["plumbing"] jupyter={"source_hidden": true}
MUTANTS = {  # attempts that are made, the pause after attempt n, whether one follows the last attempt
    "A": (4, lambda n: 0.2 * n, False),
    "B": (4, lambda n: 0.2 * 2 ** (n - 1), True),
    "C": (5, lambda n: 0.2 * 2 ** (n - 1), False),
}


async def mutant(service, attempts, pause_after, sleeps_at_last):
    for n in range(1, attempts + 1):
        try:
            return await service()
        except ConnectionError as problem:
            last = problem
        if n < attempts or sleeps_at_last:
            await asyncio.sleep(pause_after(n))
    raise last


def mutants():
    world = World()
    dead = flaky(world, failures=99, latency=0.1)
    return simulate(
        beside_each_other({name: mutant(dead, *faults) for name, faults in MUTANTS.items()}), world=world
    ).timeline


# %%
show(mutants(), title="Three mutants", table=False)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def slept_in_vain():
    timeline = mutants()
    ends = {one: (timeline.marks("raised", lane=one)[0].at, timeline.calls(lane=one)[-1].end) for one in MUTANTS}
    return next(one for one, (told, failed) in ends.items() if told - failed > 0.01)


def grew_least():
    slept = {one: [pause.until - pause.start for pause in mutants().pauses("sleep", lane=one)] for one in MUTANTS}
    return min(MUTANTS, key=lambda one: slept[one][2] / slept[one][1])


predict("Which one keeps its caller waiting although all is lost?", list(MUTANTS), slept_in_vain)
predict(
    "Which one took the number of attempts for a number of retries?",
    list(MUTANTS),
    lambda: max(MUTANTS, key=lambda one: len(mutants().calls(lane=one))),
)
predict(
    "Which one doesn't double?", list(MUTANTS), grew_least, why="Its pauses are 0.2, 0.4 and 0.6 s: they grow, evenly."
)

# %% [markdown] lecture="Exercise 1: Retry Logic"
# ## Exercise: retry with full jitter
#
# Write `retry(op, *, max_attempts, base, cap, retry_on, rng, deadline)`. This is its whole contract:
#
# * **Attempts.** `op` takes no arguments and makes a fresh awaitable at each call. At most `max_attempts` calls, the
#   first one included. Fewer than 1 is a `ValueError`, before any call.
# * **Success.** The first result is returned as it is. `None`, `0` and `False` are results like any other.
# * **Failure.** When the last attempt fails, its exception comes out: the very object that `op` raised, and at once,
#   without a pause.
# * **Pause.** Before attempt n + 1 full jitter, drawn anew each time: `rng.uniform(0, min(cap, base * 2 ** (n -
#   1)))`. Without an `rng`, make a `random.Random()`.
# * **Which errors.** Only those in `retry_on` (and their subclasses) are tried again. All others, and a cancellation,
#   go to the caller at once.
# * **Deadline.** In seconds from the call of `retry`. If the next attempt couldn't start before it, raise the current
#   exception at once. A running attempt is never cut.
# * **`retry_after`.** An exception may have this attribute, in seconds. Then the pause is at least so long, even
#   above `cap`.
# * **Side by side.** Any number of calls at once don't disturb each other.
#
# **Promised**: `rng` is a real `random.Random`; `base` and `cap` are positive. You may write it as a loop,
# recursively, with helpers of your own or on top of an installed library: only what it does is looked at. One piece
# of advice, worth no points: 1,200 attempts shouldn't be a problem either.


# %% exercise="retry"
async def retry(
    op,
    *,
    max_attempts: int = 4,
    base: float = 0.1,
    cap: float = 2.0,
    retry_on: tuple[type[Exception], ...] = (ConnectionError, TimeoutError),
    rng: random.Random | None = None,
    deadline: float | None = None,
):
    """Call `op` until it works: full jitter between the attempts, at most `max_attempts` calls."""
    ### BEGIN SOLUTION
    if max_attempts < 1:
        raise ValueError(f"max_attempts must be at least 1, not {max_attempts}")
    rng = rng or random.Random()
    clock = asyncio.get_running_loop().time
    start = clock()
    for n in range(1, max_attempts + 1):
        try:
            return await op()
        except retry_on as error:
            ceiling = min(cap, base * 2 ** min(n - 1, 1000))
            pause = max(rng.uniform(0, ceiling), getattr(error, "retry_after", 0))
            too_late = deadline is not None and clock() + pause - start >= deadline
            if n == max_attempts or too_late:
                raise
        await asyncio.sleep(pause)
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: where to begin</summary>
#
# Begin with the loop of warm-up 2 and let it pass the first behaviours: attempts, results, errors. Run the check
# often; each line of its table is one sentence of the contract. Then exchange the pause, and last add the two limits
# from outside.
#
# </details>
#
# <details><summary>Hint 2: the places where it goes wrong</summary>
#
# * `except retry_on as error:` takes a tuple of classes, and leaves `CancelledError` alone.
# * The exception's name is gone after its `except` block. What needs it (`raise`, `retry_after`) belongs inside.
# * A bare `raise` raises the very object that was caught.
# * `getattr(error, "retry_after", 0)` reads an attribute that may be missing.
# * Draw the pause first, then decide whether there is time for it, then sleep.
# * `2 ** 1200` is a number without trouble in Python, `0.1 * 2 ** 1200` is an `OverflowError`.
#
# </details>
#
# <details><summary>Hint 3: the lines of a solution, shuffled</summary>
#
# ```
# ceiling = min(cap, base * 2 ** min(n - 1, 1000))
# for n in range(1, max_attempts + 1):
# await asyncio.sleep(pause)
# return await op()
# if n == max_attempts or too_late:
# except retry_on as error:
# rng = rng or random.Random()
# too_late = deadline is not None and clock() + pause - start >= deadline
# start = clock()
# raise
# try:
# if max_attempts < 1:
# pause = max(rng.uniform(0, ceiling), getattr(error, "retry_after", 0))
# raise ValueError(f"max_attempts must be at least 1, not {max_attempts}")
# clock = asyncio.get_running_loop().time
# ```
#
# </details>

# %% [markdown]
# ## Your answer in the herd
#
# The picture that this notebook began with (550 calls, 9.5 s), with your own function in the place of the fixed
# pause.

# %%
own = herd(lambda service: retry(service, max_attempts=50))
if own.calls():
    show(raster(own, bin=0.1, title=summary("Your retry", own)), table=False)
else:
    print("retry hasn't called its op yet: write it above, run it, and come back")

# %% [markdown]
# ## Retries multiply
#
# A user's click passes three services on its way to the database, and each of them was given a careful retry: "three
# retries, then give up". The database is dead. **How often is it called for one click?**


# %%
from functools import partial


def calls_below(layers, retries):
    world = World()
    call = world.service("database", lambda call: error("ConnectionError"))
    for _ in range(layers):
        call = partial(lecture_retry_with_backoff, call, retries)
    simulate(call(), world=world, catch=True)
    return len(world.timeline().calls())


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Three layers, three retries each: calls that reach the database",
    [9, 12, 27, 64],
    lambda: calls_below(layers=3, retries=3),
    why="Three retries are four tries, and each try of a layer sets off all tries of the layer below: 4 × 4 × 4.",
)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def retry_tree(layers=3, tries=4):
    fig, ax = axes("One click, three layers of retries", width=7.2, height=3.2)
    ax.axis("off")
    names = ("the click", "service A tries", "service B tries", "service C tries")
    places = [[(child + 0.5) / tries**layer for child in range(tries**layer)] for layer in range(layers + 1)]
    for layer, row in enumerate(places):
        for child, x in enumerate(row):
            if layer:
                ax.plot((places[layer - 1][child // tries], x), (1 - layer, -layer), color="#999999", lw=0.7, ls="-")
        ax.scatter(
            row, [-layer] * len(row), s=(60, 40, 22, 10)[layer], color="#D55E00" if layer else "#0072B2", zorder=3
        )
        ax.text(-0.02, -layer, names[layer], ha="right", va="center", fontsize=10)
        ax.text(1.02, -layer, f"{len(row)}", ha="left", va="center", fontsize=10, fontweight="bold")
    ax.set(xlim=(-0.2, 1.06), ylim=(-layers - 0.25, 0.25))
    return fig


show(
    retry_tree(),
    alt="A tree: one click leads to 4 tries of service A, 16 of service B and 64 of service C, all of which reach the "
    "database.",
    fold="What happens",
)

# %% [markdown]
# Sixty-four calls for one click, on a database that is in trouble already. Google's book on [Site Reliability
# Engineering](https://sre.google/sre-book/addressing-cascading-failures/) (chapter 22) has this very example.
# Amazon's [Builders' Library](https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/) has
# a stack of five layers with "three retries", and says 243:

# %%
print("3 tries in each of 5 layers:  ", calls_below(layers=5, retries=2))
print("3 retries in each of 5 layers:", calls_below(layers=5, retries=3))

# %% [markdown]
# For one of them "three retries" are three tries, for the other four. Ask which one is meant before you set such a
# number. And retry in *one* layer, as near to the failure as possible; all others pass the error on.

# %% [markdown]
# ## Questions
#
# <details><summary>Where is the mistake in <code>min(cap, base * 2 ** n + rng.uniform(0, 1))</code>?</summary>
#
# Once the cap is reached, nothing is random any more: from there on everybody pauses exactly `cap`, and the herd
# comes together again. Draw last, so that chance has the last word.
#
# </details>
#
# <details><summary>May you retry <code>POST /charge</code>?</summary>
#
# Not as it is: a lost answer may mean that the card was charged. With an idempotency key (one per payment, the same
# in every attempt) you may.
#
# </details>
#
# <details><summary>Every other attempt fails, by chance. With four attempts: how many calls, how many errors?</summary>
#
# 1 + 1/2 + 1/4 + 1/8 = 1.875 calls for each request, and 1 in 16 fails. When *all* attempts fail it is 4 calls:
# retries cost most when the service can bear it least.
#
# </details>
#
# <details><summary>Full jitter may draw a pause of nearly nothing. Isn't that a hot loop?</summary>
#
# Now and then, for one client, once: the next draw is another one. A crowd's pauses fill the time evenly, and that is
# what the service feels. Who wants a least pause takes equal jitter and pays with time.
#
# </details>

# %% [markdown]
# ## What practitioners use
#
# In production take a library. [tenacity](https://tenacity.readthedocs.io) can do everything and must be told
# everything: its bare `@retry` never gives up, never pauses, and wraps the error. [stamina](https://stamina.hynek.me)
# stands on it and has good defaults: 10 attempts, 45 s in all, and it insists on being told which errors. Both run on
# the virtual clock as they are:

# %%
import stamina
import tenacity

stamina.instrumentation.set_on_retry_hooks([])  # it logs each retry; not here


def by_stamina(service):
    return stamina.AsyncRetryingCaller(attempts=10).on(ConnectionError)(service)


def by_tenacity(service):
    pauses = tenacity.wait_random_exponential(multiplier=0.1, max=5)  # full jitter
    which = tenacity.retry_if_exception_type(ConnectionError)
    retrying = tenacity.AsyncRetrying(stop=tenacity.stop_after_attempt(10), wait=pauses, retry=which, reraise=True)
    return retrying(service)


def ten_attempts(caller, seed):
    world = World()
    dead = world.service("dead", lambda call: error("ConnectionError"))
    run = simulate(lambda: caller(dead), world=world, seed=seed, catch=True)
    return [pause.until - pause.start for pause in run.timeline.pauses("sleep")]


# %% [markdown]
# Forty callers each, ten attempts on a dead service. **Do you see a herd forming?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def library_chart(callers=40):
    fig, ax = axes("Pauses of two libraries", "pause after attempt", "seconds", height=3.4)
    looks = {
        "stamina": (by_stamina, -0.14, "o", "#0072B2"),
        "tenacity, full jitter": (by_tenacity, 0.14, "x", "#D55E00"),
    }
    for name, (caller, shift, marker, color) in looks.items():
        pauses = [ten_attempts(caller, seed) for seed in range(callers)]
        points = [(n + shift, pause) for one in pauses for n, pause in enumerate(one, 1)]
        ax.scatter(*zip(*points, strict=True), s=14, marker=marker, color=color, alpha=0.6, lw=1, label=name)
    ax.set_xticks(range(1, 10))
    ax.legend(frameon=False)
    return fig


show(
    library_chart(),
    alt="Pauses after attempts 1 to 9. Tenacity's full jitter spreads from zero to a ceiling that doubles up to 5 s. "
    "Stamina's pauses spread over one second above the doubling, and from the seventh on all are exactly 5 s.",
)

# %% [markdown]
# stamina *adds* up to a second of jitter and then cuts at its cap of 5 s. So after the sixth attempt its callers
# pause exactly alike: the first of the questions above, in a good library (26.1). With the default of 45 s in all it
# seldom matters; when you raise the attempts, raise `wait_max` too.
#
# One trap waits for everybody. Libraries have errors of their own:

# %%
import httpx2

for kind in (httpx2.ConnectError, httpx2.ReadTimeout):
    print(kind.__name__, "is a ConnectionError or a TimeoutError:", issubclass(kind, (ConnectionError, TimeoutError)))

# %% [markdown]
# `retry_on=(ConnectionError, TimeoutError)` around such a client retries nothing, silently. Name the library's
# errors, or translate them at the boundary.

# %% [markdown]
# <details><summary><strong>Code review</strong>: what else there is to say about the two listings</summary>
#
# * **No deadline.** With a timeout of 5 s for each attempt, three retries keep a caller waiting for up to 20.7 s.
# * **The exponent isn't limited.** In Rust `100 * 2_u64.pow(attempt - 1)` overflows at attempt 59: a panic in a debug
#   build. In a release build it wraps round, and from attempt 63 on the pause is 0 ms, a hot loop. Nobody waits so
#   long in real time, but a test with a paused clock does. In Python `0.1 * 2 ** 1100` raises `OverflowError`.
# * **It logs at every attempt.** In an outage that is one line for each attempt of each request, just when the
#   machine has no time for it. Count retries instead, and log once at the end.
# * **Nothing limits all callers together.** Each call is polite, a thousand of them aren't. That takes a retry budget
#   (the last notebook) or a circuit breaker (the next one).
# * **The second listing's jitter** can only lengthen a pause: mean 1.25 ceilings against 0.5 for full jitter.
# * **What is good about them** and easily lost in a rewrite: a fresh operation for each attempt, no pause after the
#   last one, the last error passed on unchanged.
#
# </details>
#
# <details><summary><strong>For Rust readers</strong></summary>
#
# * `FnMut() -> Fut` is what makes a fresh future for each attempt; Python's counterpart is the function `op`. A
#   Python coroutine starts only when it is awaited, as a future does only when it is polled; but a task, once made,
#   runs by itself.
# * `let mut rng = rand::thread_rng()` is held across `.await`. `ThreadRng` isn't `Send`, so neither is the future,
#   and `tokio::spawn` won't take it. Draw the number in a block of its own before the `.await`, or hand in a
#   `StdRng`.
# * `Result<T, E>` with any `E` has no way to say "don't try this again". Take a predicate `Fn(&E) -> bool`, or a
#   trait; in Python the classes in `retry_on` do it.
# * Dropping a Rust future is Python's cancelling, with one difference: the drop runs no further line of the function,
#   while `CancelledError` passes through `except` and `finally`, and can be swallowed there.
# * `tokio::time::pause()` is Rust's virtual clock. The tests of this notebook would work there too.
#
# </details>
