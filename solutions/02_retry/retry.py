# %% [markdown]
# # Retry
#
# **When do I try again?** A call has failed. Perhaps the next one works, and trying costs a line or two. But you are
# never alone: everybody else who was hit by the same failure tries again too, at the same moment.
#
# About 35 minutes to read, 40 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
from collections import deque
from functools import partial

from autograder import check
from faultlab import COLORS, World, axes, error, hang, label_lines, live, mark, ok, play, show, simulate
from faultlab.lanes import compare, lanes
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
# A payment service restarts. It is back after a moment, and it is quick: it answers ten calls in any tenth of a
# second, a hundred a second in all. It refuses every further call at once.


# %%
def crowded(limit=10, window=0.1):
    """Answer `limit` calls in any `window` seconds, and refuse the others."""
    answered = deque(maxlen=limit)

    def script(call):
        if len(answered) == limit and call.at - answered[0] < window:
            return error("ConnectionError")
        answered.append(call.at)
        return ok()

    return script


# %% [markdown]
# A hundred clients lost their connection in the restart. Each client does the sensible thing: it waits a second and
# tries again, until it gets an answer.


# %%
async def insist(service):
    while True:
        try:
            return await service()
        except ConnectionError:
            await asyncio.sleep(1)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def herd(client, clients=100):
    """The timeline of so many clients that call the crowded service at the same moment."""
    world = World()
    service = world.service("payments", crowded(), latency=0.05)

    async def main():
        async with asyncio.TaskGroup() as group:
            for number in range(1, clients + 1):
                group.create_task(client(service), name=f"client {number}")

    return simulate(main, world=world).timeline


def summary(name, timeline):
    return f"{name}: {len(timeline.calls()):,} calls, the last client is served after {timeline.duration:.1f} s"


def herd_picture(name, timeline, bin=0.1, **options):
    """Each client is a row and each call a dot; below, the calls that arrive in each `bin` seconds."""
    return raster(timeline, bin=bin, height=340, title=summary(name, timeline), **options)


def play_herd(run, title, alt, until, width=720, height=300, **options):
    """The herd as it unfolds: requests between the clients and the service, and the picture of all calls below."""
    still = partial(raster, bin=0.1, width=width, height=height, title=title, until=until)
    play(run, title=title, alt=alt, until=until, view="flow", still=still, who="clients", **options)


# %% [markdown]
# A hundred clients, a hundred calls a second: by that arithmetic the last client is served after one second. **What do
# you expect?** Answer first, then press *Play*.

# %%
waves = herd(insist)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "After how many seconds is the last of the hundred clients served?",
    lambda: waves.duration,
    unit="s",
    tolerance=0.1,
    why="Nine and a half seconds, although nobody did anything wrong. All refused clients wait together and come back "
    "together: ten are served, the others are refused together again. Between two waves the service has nothing to "
    "do. It is idle for nine tenths of the time, and it still refuses most of its calls.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
play_herd(
    waves,
    "A pause of one second: when is the last client served?",
    "A hundred clients call a service that takes ten calls in a tenth of a second. Each refused client comes back after "
    "a second.",
    until=12.0,
)

# %% [markdown]
# At the top, each request is a dot on its way from the clients to the service and back. Under that, each client is a
# row and each call a dot. The bars at the bottom count the calls in each tenth of a second.
#
# This is the **thundering herd**. A real service suffers more than ours: refusing a call costs it work too, and a wave
# may knock it over again. Remember the picture: by the middle of this notebook you will dissolve the herd with a single
# choice.

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
# To watch it we need a service that fails a few times and then works, and callers side by side, a lane for each. What
# a caller gets in the end, a result or an error, is written into its lane.


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


def two_callers(caller):
    world = World()
    lucky, unlucky = flaky(world, failures=2, name="flaky"), flaky(world, failures=99, name="dead")
    return simulate(beside_each_other({"lucky": caller(lucky), "unlucky": caller(unlucky)}), world=world).timeline


# %% cover="true"
show(two_callers(try_again), title="Two failures and then an answer, or a dead service: what do the callers get?")

# %% [markdown]
# Most network failures are over in a moment, so a second attempt costs little and saves much. Two numbers are left to
# choose, and everything in this notebook is about them: **how many** attempts, and **how long** the pauses.

# %% [markdown] lecture="Simple Retry with Exponential Backoff"
# ## The lecture's first listing: exponential backoff
#
# If the service hasn't recovered after 0.1 s, it may need 0.2 s; if not then, 0.4 s. The pause doubles after every
# failure, so the pressure on a struggling service falls quickly. Here is the listing in Python. What it prints goes to
# a log here:

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


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def dead_calls():
    world = World()
    simulate(lecture_example(flaky(world, failures=99)), world=world, catch=True)
    return len(world.timeline().calls())


predict(
    "The service is dead, and `max_retries` is 3. How often is it called?",
    [2, 3, 4, 5],
    dead_calls,
    why="A first try and three retries. Many off-by-one mistakes begin with this name; "
    "in the exercise the number is called `max_attempts` and counts every call.",
    picture=lambda said: lanes(
        two_callers(lecture_example), title="The lecture's backoff: how often is each service called?"
    ),
)

# %% [markdown]
# The listing does what it was meant to do. Now we change one thing in its world at a time.
#
# ### More retries
#
# Somebody raises `max_retries` from 3 to 20, to be on the safe side.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def hours_until_told(retries):
    world = World()
    dead = world.service("dead", lambda call: error("ConnectionError"))
    run = simulate(lecture_retry_with_backoff(dead, retries), world=world, catch=True)
    return run.timeline.duration / 3600


estimate(
    "Twenty retries on a dead service: after how many hours does the caller hear of it?",
    lambda: hours_until_told(20),
    unit="hours",
    tolerance=0.2,
    why="Twenty doublings turn 0.1 s into a million times as much. Finding out took no time: the clock here is virtual.",
)

# %% [markdown]
# A **cap** ends the doubling: no pause is longer than, say, 2 s. **How long does the caller wait then?** The vertical
# axis is logarithmic, so doubling without end is a straight line.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def waited(retries, cap=float("inf")):
    """Seconds that this many retries wait altogether."""
    return sum(min(cap, 0.1 * 2**number) for number in range(retries))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def wait_chart(numbers=range(1, 21)):
    fig, ax = axes("How long does a caller wait on a dead service?", "retries", "all pauses together", height=3.4)
    for name, cap, marker in (("no cap", float("inf"), "o"), ("cap 2 s", 2.0, "s")):
        ax.plot(numbers, [waited(number, cap) for number in numbers], marker=marker, label=name)
    for number, cap, words, place in (
        (3, 2.0, "0.7 s", (-8, 6)),
        (10, float("inf"), "102 s", (-8, 6)),
        (20, float("inf"), "29 h", (-8, 4)),
        (20, 2.0, "33 s", (0, -16)),
    ):
        look = {"textcoords": "offset points", "fontsize": 9, "ha": "right"}
        ax.annotate(words, (number, waited(number, cap)), place, **look)
    ax.set_yscale("log")
    ax.set_yticks([0.1, 1, 10, 60, 600, 3600, 36000], ["0.1 s", "1 s", "10 s", "1 min", "10 min", "1 h", "10 h"])
    ax.minorticks_off()
    ax.set_xticks([1, 3, 5, 10, 15, 20])
    label_lines(ax)
    return fig


show(
    wait_chart(),
    alt="Seconds waited in all against the number of retries, logarithmic. Without a cap it is a straight line: "
    "0.7 s for 3 retries, 102 s for 10, 29 hours for 20. With a cap of 2 s it bends after five and ends at 33 s.",
    fold="What happens",
)

# %% [markdown]
# ### An error that doesn't go away
#
# The service is well, but what the caller asks for doesn't exist. Every attempt gets the same answer, "no such user".


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def not_there():
    world = World()
    service = world.service("service", lambda call: error("LookupError", "no such user"), latency=0.05)
    return simulate(beside_each_other({"caller": lecture_example(service)}), world=world).timeline


predict(
    "How often does the service answer that there is no such user?",
    [1, 2, 3, 4],
    lambda: len(not_there().calls()),
    why="`except Exception` treats every error as transient. The service answers the same question four times, and "
    "the caller learns 0.7 s late what was known at once.",
    picture=lambda said: lanes(not_there(), title="How often is the same question asked?"),
)

# %% [markdown]
# So a retry must be told *which* errors it may try again:
#
# | what came back | again? | because |
# |---|---|---|
# | connection refused | yes | nothing was done; the next attempt may find a healthy machine |
# | connection lost, or timeout | only if a second execution is harmless | the work may have been done, and only the answer lost |
# | "too many requests" (429), "unavailable" (503) | yes, but not earlier than the service asks | the service needs time |
# | "not found" (404), "invalid" (400) | no | the same question has the same answer |
# | `KeyError`, `TypeError` | no | it is a bug of ours, and should be seen |
# | `CancelledError` | never | the caller wants us to stop |
#
# Reading a balance twice is harmless; charging a card twice isn't. An operation that may be executed twice without
# harm is called **idempotent**. Other operations become idempotent through a key: the client invents one for each
# payment and sends it with every attempt. The server does the work for the first attempt and repeats its answer for
# the others. Without such a key, a server that charges the card and then loses the connection charges it again at
# every attempt.
#
# ### A hundred of them
#
# Back to the hundred clients, now with the lecture's exponential backoff. The pauses grow. **Will the waves go
# away?**

# %%
doubling = herd(lambda service: lecture_retry_with_backoff(service, 20))

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "In how many waves do the hundred clients arrive now?",
    [1, 3, 10, 100],
    lambda: len({round(call.start, 3) for call in doubling.calls()}),
    why="The same ten waves, only further and further apart. Everybody doubles the same number, so everybody comes "
    "back at the same instant. The clients have patience enough; they lack difference.",
    picture=lambda said: herd_picture("Exponential backoff", doubling, bin=0.5),
)

# %% [markdown] lecture="Retry with Jitter"
# ## The lecture's second listing: jitter
#
# Clients that come back at different times need different pauses. So let chance decide a part of each pause. That is
# **jitter**. The lecture adds up to half of the pause on top of it:


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
# Here are five clients of a service that fails three times for each of them. They start together. **Compare their
# second attempts with their fourth attempts.**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def five_clients(caller):
    world = World()
    service = flaky(world, failures=15)
    callers = {f"client {number}": caller(service) for number in range(1, 6)}
    return simulate(beside_each_other(callers), world=world, seed=4).timeline


# %%
jittered = five_clients(lambda service: lecture_retry_with_jitter(service, 3))
show(jittered, title="The lecture's jitter: how far do five clients drift apart?", table=False)

# %% [markdown]
# They drift apart, and more so with each attempt. One thing doesn't change: after a failure *nobody* comes back
# before the full exponential pause is over. So two thirds of the longest possible pause are a hole, in which the
# service waits for its clients.
#
# ### Is this real?
#
# So far a virtual clock has jumped from one instant to the next. Nothing in the lecture's function knows about that
# clock. Above, the same function waits real tenths of a second; below, it runs on the virtual clock.


# %%
def three_failures():
    world = World()
    return world, beside_each_other({"caller": lecture_retry_with_jitter(flaky(world, failures=3), 3)})


world, on_real_clock = three_failures()
began = time.perf_counter()
real = await live(on_real_clock, world=world)
print(f"{real.timeline.duration:.2f} s on the timeline, {time.perf_counter() - began:.2f} s of wall-clock time")

world, on_virtual_clock = three_failures()
virtual = simulate(on_virtual_clock, world=world)
show(compare(real.timeline, virtual.timeline, titles=("on the real clock", "on the virtual clock")), table=False)

# %% [markdown]
# The pauses differ because chance draws new ones each time. (On the real clock a pause is drawn as a gap.) Everything
# else is the same.
#
# ## Six recipes for a pause
#
# There is more than one way to mix doubling with chance. These six have names. `ceiling` is the doubled and capped
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
# The picture shows five hundred pauses after a third failure, where the doubled pause is 0.4 s. **Which recipe leaves
# no hole between 0 and 0.4 s?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def third_pause(recipe, rng, base=0.1, cap=2.0):
    last = base
    for n in (1, 2, 3):
        last = pause_by(recipe, n, last, base, cap, rng)
    return last


def pause_chart():
    fig, ax = axes("How long is the pause after the third failure?", "seconds", "recipe", height=3.0)
    rng = random.Random(5)
    for row, recipe in enumerate(reversed(RECIPES)):
        pauses = [third_pause(recipe, rng) for _ in range(500)]
        ax.scatter(pauses, [row + rng.uniform(-0.28, 0.28) for _ in pauses], s=3, color=COLORS["waiting"])
    ax.set_yticks(range(6), RECIPES[::-1])
    ax.axvline(0.4, color=COLORS["ink"], linewidth=1)
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
#
# See for yourself. First guess which recipe serves the last client soonest, and which one makes the fewest calls. Then
# move the sliders. The pictures show the first six seconds, whatever the setting.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
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

    return herd(client, clients)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
play_herd(
    herd_by,
    "The first six seconds: what becomes of the waves?",
    "The first six seconds of a herd, with the recipe and the numbers that the sliders set.",
    until=6.0,
    width=480,
    height=220,
    labels={"base": "base (s)", "cap": "cap (s)"},
    recipe=RECIPES,
    clients=(10, 200, 10),
    base=(0.05, 1.0, 0.05),
    cap=(0.1, 10.0, 0.1),
)

# %% [markdown]
# Press *Play* after each move: the setting before plays along with the new one. Things to find:
#
# * Go from *exponential* to *full*. What becomes of the waves?
# * Choose *the lecture's*. Are the holes gone?
# * Choose *none*. What does it gain, and what does it cost?
# * With *full*, make the cap smaller and smaller. What becomes of the number of calls?

# %%
for recipe in ("full", "the lecture's", "none"):
    picture = herd_picture(recipe.capitalize(), herd_by(recipe), until=6.0)
    show(picture, fold=f"What happens with the recipe: {recipe}", table=False)

# %% [markdown]
# ## What it costs
#
# The best-known measurement of this comes from Amazon. Many clients want to change one record in a database. Of all
# clients that have read the same version only the first may write; the others must read again. The simulation
# behind it is public ([Exponential Backoff and
# Jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), 2015; code:
# aws-samples/aws-arch-backoff-simulator). The folded cell holds the same model with its numbers. Each message takes
# about 10 ms (normally distributed, deviation 2 ms); the base is 5 ms and the cap 2 s. (Its first ceiling is twice
# the base, because that model counts failures from one, where we count from zero.)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
import heapq


def contend(clients, recipe, rng, base=5, cap=2000):
    """Every client wants to write one record: calls in all, and when the last write is confirmed (ms)."""

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


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def contended(recipe, clients, trials):
    """Calls and seconds, each the mean of a few trials."""
    rng = random.Random(2015)
    runs = [contend(clients, recipe, rng) for _ in range(trials)]
    return sum(calls for calls, _ in runs) / trials, sum(done for _, done in runs) / trials / 1000


CROWDS = (10, 25, 50, 75, 100)
TRIALS = {10: 40}  # a mean of few clients needs more of them
CONTENDED = {
    recipe: {clients: contended(recipe, clients, TRIALS.get(clients, 5)) for clients in CROWDS} for recipe in RECIPES
}


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "A hundred clients, one record: with which recipe is the last client done first?",
    RECIPES,
    lambda: min(RECIPES, key=lambda recipe: CONTENDED[recipe][100][1]),
    why="This server takes any number of calls without getting slower, so a client that never pauses is never late. "
    "The price is in the next picture.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
LEFT_OF_DOT = ("none", "exponential", "full")


def cost_chart():
    title = "A hundred clients: what does each recipe cost, in work and in time?"
    fig, ax = axes(title, "calls in all", "last client done after", height=3.6)
    for recipe in RECIPES:
        calls, seconds = CONTENDED[recipe][100]
        ax.plot(calls, seconds, marker="o", markersize=8, linestyle="none", color=COLORS["ink"])
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
    "Decorrelated: about 1,000 calls in 5 s.",
    fold="What happens",
)

# %% [markdown]
# <details><summary>What the picture says about each recipe</summary>
#
# * **The recipe `none` finishes first and costs most**: three times the work of full jitter. A struggling service can
#   spare time, but not work.
# * **Exponential without jitter** is the worst of both: the herd stays together, and waits.
# * **The lecture's jitter** makes as few calls as full jitter and needs twice the time. That is its hole.
# * **Decorrelated** is about as quick as full, for a quarter more calls.
#
# </details>
#
# Does jitter need a crowd? With ten clients every recipe makes forty or fifty calls.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
TIMES_AS_LONG = {"about as long": 1, "about three times as long": 3, "about eight times as long": 8}


def times_as_long(clients=10):
    ratio = CONTENDED["exponential"][clients][1] / CONTENDED["full"][clients][1]
    return min(TIMES_AS_LONG.values(), key=lambda known: abs(known - ratio))


predict(
    "Ten clients: how long does the last one wait with exponential backoff, compared with full jitter?",
    TIMES_AS_LONG,
    times_as_long,
    why="Clients that collide and then pause equally long collide again, each time after twice the pause. "
    "With few clients jitter saves few calls, but much time.",
)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def growth_chart():
    fig, ax = axes("When is the last client done?", "clients", "seconds (logarithmic)", height=3.8)
    for recipe in RECIPES:
        seconds = [CONTENDED[recipe][clients][1] for clients in CROWDS]
        ax.plot(CROWDS, seconds, marker="o", markersize=4, label=f"{recipe}: {seconds[-1]:.1f} s")
    ax.set_yscale("log")
    ax.set_yticks([0.2, 0.5, 1, 2, 5, 10, 20, 50], ["0.2", "0.5", "1", "2", "5", "10", "20", "50"])
    ax.minorticks_off()
    ax.set_xticks(CROWDS)
    label_lines(ax)
    return fig


show(
    growth_chart(),
    alt="The last client's time against the number of clients, logarithmic. Exponential lies far above all others: "
    "over 3 s at 10 clients and over 60 s at 100. The other recipes need about 1 s or less at 10 clients; at 100 the "
    "lecture's needs 10 s, equal 7 s, full and decorrelated 5 s, none 2 s.",
    fold="What happens",
)

# %% [markdown]
# The published numbers for a hundred clients (means of 100 trials), beside ours:

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
    own_calls, own_seconds = CONTENDED[recipe][100]
    print(f"{recipe:14} {calls:>9,} {seconds:>6.1f} s {own_calls:>9,.0f} {own_seconds:>6.1f} s")

# %% [markdown]
# Read such numbers with care. The time is the one at which the *last* client is done. Which of full and
# decorrelated is quicker depends on the crowd: from 140 clients on it is full. And the trouble here is contention
# for one record, not an overloaded server.
#
# Some overload feeds on its own retries. Against that, jitter alone doesn't help at all. The last notebook shows the
# collapse and its cure, a **retry budget**: only a small share of a client's calls may be retries, say one in ten.

# %% [markdown]
# ## Two limits from outside
#
# ### `Retry-After`: the service knows better
#
# A service that knows when it will be back can say so: HTTP has the header `Retry-After` for it. Here the error
# carries it as `retry_after`, in seconds. The service is away for the first 1.4 s. One caller is deaf to the hint and
# uses the lecture's backoff; the other one listens:


# %%
async def listening(service):
    while True:
        try:
            return await service()
        except ConnectionError as problem:
            await asyncio.sleep(problem.retry_after)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def away(call, back=1.4):
    return error("ConnectionError", retry_after=back - call.at) if call.at < back else ok()


def deaf_and_listening():
    world = World()
    service = world.service("service", away, latency=0.05)
    return simulate(
        beside_each_other({"deaf": lecture_retry_with_backoff(service, 9), "listening": listening(service)}),
        world=world,
    ).timeline


predict(
    "How many calls does the listening caller save?",
    [1, 2, 3, 6],
    lambda: len(deaf_and_listening().calls(lane="deaf")) - len(deaf_and_listening().calls(lane="listening")),
    why="It also gets its answer a quarter of a second earlier.",
    picture=lambda said: lanes(deaf_and_listening(), title="Away for 1.4 s: what does listening save?"),
)

# %% [markdown]
# The hint is a *floor*: the pause may be longer, never shorter, even if that is more than our own cap. (A service that
# tells every client the same second builds itself a new herd. It should spread its hints.)
#
# ### A deadline: a user is waiting
#
# The user behind a call leaves after two seconds. Whatever a retry does later is done for nobody. Here are two obvious
# ways to respect that deadline. **What is wrong with each?**


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


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def two_deadlines():
    world = World()
    slow = flaky(world, failures=99, latency=0.4)
    return simulate(beside_each_other({"cut off": cut_off(slow), "looks late": looks_late(slow)}), world=world).timeline


show(two_deadlines(), title="A deadline of two seconds: what goes wrong?", fold="What happens")

# %% [markdown]
# <details><summary>What is wrong with each</summary>
#
# The first caller is cut off in the middle of its fourth attempt: was that payment made, or not? The second caller
# sleeps past the deadline before it looks, and the error that it raises in the end hides what went wrong.
#
# </details>
#
# Better to think *before* the pause: when would the next attempt start? If that is too late, the time to give up is
# now, with the error at hand.
#
# Ask `asyncio.get_running_loop().time()` for the time. It only ever goes forward; the wall clock can be set back.

# %% [markdown]
# ## asyncio you need
#
# **1. A coroutine is used up by one `await`.** `service()` makes a coroutine, `service` is the function that makes
# them. A second attempt needs a second coroutine, so a retry is given the function, not its result.


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


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def twice():
    world = World()
    service = flaky(world, failures=2)
    callers = {"the same": same_coroutine(service), "a fresh one": fresh_coroutine(service)}
    return simulate(beside_each_other(callers), world=world).timeline


show(
    twice(),
    title="What does the second attempt get: with the same coroutine, and with a fresh one?",
    order=["the same", "a fresh one"],
    table=False,
)

# %% [markdown]
# **2. To cancel is to raise, and a retry must not catch it.** A cancelled task gets a `CancelledError` at the `await`
# where it waits: in the service's call or in the pause. It is not an `Exception`, so `except Exception` lets it pass.
# But an `except:` without a class, or `except BaseException`, treats it as one more failure:


# %%
async def wont_stop(service):
    while True:
        try:
            return await service()
        except BaseException:
            await asyncio.sleep(0.3)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
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


show(two_cancelled(), title="Cancelled at 0.5 s, while the service doesn't answer: which caller stops?", table=False)

# %% [markdown]
# ## Two more warm-ups
#
# ### Warm-up 2: a shuffled loop
#
# These lines are a retry with exponential backoff and a cap, without jitter. The pause doubles in a different way from
# the lecture's.

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
# Three retries, each with one mistake, call a dead service. All three were told to make four attempts, with a base of
# 0.2 s and pauses that double. Their code stays hidden; you see only what they did:

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
show(mutants(), title="Three mutants on a dead service: what is wrong with each?", table=False)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def slept_in_vain():
    timeline = mutants()
    ends = {one: (timeline.marks("raised", lane=one)[0].at, timeline.calls(lane=one)[-1].end) for one in MUTANTS}
    return next(one for one, (told, failed) in ends.items() if told - failed > 0.01)


def grew_least():
    slept = {one: [pause.until - pause.start for pause in mutants().pauses("sleep", lane=one)] for one in MUTANTS}
    return min(MUTANTS, key=lambda one: slept[one][2] / slept[one][1])


predict("Which one keeps its caller waiting although no attempt is left?", list(MUTANTS), slept_in_vain)
predict(
    "Which one confuses attempts with retries?",
    list(MUTANTS),
    lambda: max(MUTANTS, key=lambda one: len(mutants().calls(lane=one))),
    why="It made four retries after its first attempt.",
)
predict(
    "Which one doesn't double?",
    list(MUTANTS),
    grew_least,
    why="Its pauses are 0.2, 0.4 and 0.6 s: they grow by the same amount each time.",
)

# %% [markdown] lecture="Exercise 1: Retry Logic"
# ## Exercise: retry with full jitter
#
# Write `retry(op, *, max_attempts, base, cap, retry_on, rng, deadline)`, in four steps. `check("retry", step=1)` judges
# the first step alone, and so on; `check("retry")` judges all. This is the whole contract:
#
# **Step 1: Attempts.**
#
# * `op` takes no arguments and makes a fresh awaitable at each call. At most `max_attempts` calls, the first one
#   included. Fewer than 1 is a `ValueError`, before any call.
# * The first result is returned as it is. `None`, `0` and `False` are results like any other.
# * When the last attempt fails, its exception comes out: the very object that `op` raised, and at once, without a
#   pause.
# * Any number of calls of `retry` at once don't disturb each other.
#
# **Step 2: Errors.**
#
# * Only errors in `retry_on` (and their subclasses) are tried again.
# * All others, and a cancellation, propagate to the caller at once.
#
# **Step 3: Pauses.** Before attempt n + 1 the pause has full jitter, drawn anew each time: `rng.uniform(0, min(cap,
# base * 2 ** (n - 1)))`. Without an `rng`, make a `random.Random()`. (1,200 attempts shouldn't be a problem either;
# that is advice, worth no points.)
#
# **Step 4: Limits.**
#
# * `deadline` counts seconds from the call of `retry`. If the next attempt couldn't start before it, raise the current
#   exception at once. A running attempt is never cut off.
# * An exception may have an attribute `retry_after`, in seconds. Then the pause is at least that long, even above
#   `cap`.
#
# **Promised**: `rng` is a real `random.Random`; `base` and `cap` are positive. You may write a loop, a recursion,
# helpers of your own, or use an installed library: only what `retry` does is judged.


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
# Begin with the loop of warm-up 2 and take one step after the other. Run the check often; each line of its table is
# one sentence of the contract. For step 3 replace the pause, and in step 4 add the two limits from outside.
#
# </details>
#
# <details><summary>Hint 2: the places where it goes wrong</summary>
#
# * `except retry_on as error:` accepts a tuple of classes, and leaves `CancelledError` alone.
# * The name `error` is gone after its `except` block. Code that needs the exception (`raise`, `retry_after`) belongs
#   inside the block.
# * A bare `raise` raises the very object that was caught.
# * `getattr(error, "retry_after", 0)` reads an attribute that may be missing.
# * Draw the pause first, then decide whether there is time for it, then sleep.
# * `2 ** 1200` is no problem in Python, but `0.1 * 2 ** 1200` is an `OverflowError`.
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
# This is the picture that the notebook began with (550 calls, 9.5 s), with your own function instead of the fixed
# pause.

# %%
own = herd(lambda service: retry(service, max_attempts=50))
if own.calls():
    show(herd_picture("Your retry", own), table=False)
else:
    print("retry hasn't called its op yet: write it above, run it, and come back")

# %% [markdown]
# ## Retries multiply
#
# A user's click passes three services on its way to the database. Each of them was given a careful retry: "three
# retries, then give up". The database is dead. **How often is it called for one click?**


# %%
def calls_below(layers, retries):
    world = World()
    call = world.service("database", lambda call: error("ConnectionError"))
    for _ in range(layers):
        call = partial(lecture_retry_with_backoff, call, retries)
    simulate(call(), world=world, catch=True)
    return len(world.timeline().calls())


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Three layers, three retries each: how many calls reach the database?",
    [9, 12, 27, 64],
    lambda: calls_below(layers=3, retries=3),
    why="Three retries are four tries, and each try of a layer sets off all tries of the layer below: 4 × 4 × 4.",
)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def retry_tree(layers=3, tries=4):
    fig, ax = axes("One click, three layers of retries: how many calls?", width=7.2, height=3.2)
    ax.axis("off")
    names = ("the click", "service A tries", "service B tries", "service C tries")
    places = [[(child + 0.5) / tries**layer for child in range(tries**layer)] for layer in range(layers + 1)]
    for layer, row in enumerate(places):
        for child, x in enumerate(row):
            if layer:
                ax.plot(
                    (places[layer - 1][child // tries], x), (1 - layer, -layer), color=COLORS["pale"], lw=0.7, ls="-"
                )
        ax.scatter(
            row,
            [-layer] * len(row),
            s=(60, 40, 22, 10)[layer],
            color=COLORS["failed" if layer else "attempt"],
            zorder=3,
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
# All these calls hit a database that is in trouble already. Google's book on [Site Reliability
# Engineering](https://sre.google/sre-book/addressing-cascading-failures/) (chapter 22) has this very example.
# Amazon's [Builders' Library](https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/) has
# a stack of five layers with "three retries", and says 243:

# %%
print("3 tries in each of 5 layers:  ", calls_below(layers=5, retries=2))
print("3 retries in each of 5 layers:", calls_below(layers=5, retries=3))

# %% [markdown]
# Amazon counts tries (3); Google counts retries (3 retries = 4 tries). Ask which one is meant before you set such a
# number. And retry in *one* layer, as near to the failure as possible; all others pass the error on.

# %% [markdown]
# ## Questions
#
# <details><summary>Where is the mistake in <code>min(cap, base * 2 ** n + rng.uniform(0, 1))</code>?</summary>
#
# Once the cap is reached, nothing is random any more. From there on every client pauses for exactly `cap`, and the
# herd comes together again. Draw last, so that chance has the last word.
#
# </details>
#
# <details><summary>May you retry <code>POST /charge</code>?</summary>
#
# Not as it is: after a timeout or a lost connection the card may have been charged already. With an idempotency key
# (one per payment, the same in every attempt) you may. The default `retry_on` of our `retry` contains both errors, so
# it is meant for operations that may run twice.
#
# </details>
#
# <details><summary>Every other attempt fails, by chance. With four attempts: how many calls, how many errors?</summary>
#
# 1 + 1/2 + 1/4 + 1/8 = 1.875 calls for each request, and 1 request in 16 fails. When *all* attempts fail it is 4
# calls: retries cost most when the service can bear it least.
#
# </details>
#
# <details><summary>Full jitter may draw a pause of almost zero. Isn't that a hot loop?</summary>
#
# It happens now and then, for one client, once: its next draw is another one. The pauses of a crowd fill the time
# evenly, and the service notices only the crowd. If you need a minimum pause, use equal jitter; it costs time.
#
# </details>

# %% [markdown]
# ## What practitioners use
#
# In production use a library. [tenacity](https://tenacity.readthedocs.io) can do everything and must be told
# everything: its bare `@retry` never gives up, never pauses, and wraps the error. [stamina](https://stamina.hynek.me)
# is built on tenacity and has good defaults, 10 attempts and 45 s in all. It insists on being told which errors to
# retry. Both run on the virtual clock as they are:

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


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def ten_attempts(caller, seed):
    world = World()
    dead = world.service("dead", lambda call: error("ConnectionError"))
    run = simulate(lambda: caller(dead), world=world, seed=seed, catch=True)
    return [pause.until - pause.start for pause in run.timeline.pauses("sleep")]


# %% [markdown]
# In the picture, forty callers of each library make ten attempts on a dead service. Each caller is a dot, and callers
# stand side by side. **Do you see a herd forming?**


# %% tags=["plumbing"] jupyter={"source_hidden": true}
LIBRARIES = {  # how a caller calls, where its dots stand, and their shape
    "stamina": (by_stamina, -0.38, "o"),
    "tenacity, full jitter": (by_tenacity, 0.06, "x"),
}


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def library_chart(callers=40):
    fig, ax = axes("Do the callers of two libraries form a herd?", "pause after attempt", "seconds", height=3.6)
    for name, (caller, shift, marker) in LIBRARIES.items():
        points = [
            (n + shift + 0.32 * seed / callers, pause)
            for seed in range(callers)
            for n, pause in enumerate(ten_attempts(caller, seed), 1)
        ]
        ax.scatter(*zip(*points, strict=True), s=9, marker=marker, lw=0.9, label=name)
    ax.grid(False, axis="x")
    ax.set(xlim=(0.5, 9.5), ylim=(-0.2, 5.9), xticks=range(1, 10))
    ax.annotate("40 callers, one pause", (6.66, 5.0), (-6, 8), textcoords="offset points", fontsize=9)
    ax.legend(frameon=False, loc="upper left")
    return fig


show(
    library_chart(),
    alt="Pauses after attempts 1 to 9. Tenacity's full jitter spreads from zero to a ceiling that doubles up to 5 s. "
    "Stamina's pauses spread over one second above the doubling, and from the seventh on all 40 are exactly 5 s.",
)

# %% [markdown]
# stamina *adds* up to a second of jitter and then cuts at its cap of 5 s. So after the sixth attempt its callers
# pause equally long: the first of the questions above, in a good library (26.1). With the default of 45 s in all it
# seldom matters; when you raise the attempts, raise `wait_max` too.
#
# One more trap: libraries have errors of their own.

# %%
import httpx2

for kind in (httpx2.ConnectError, httpx2.ReadTimeout):
    print(kind.__name__, "is a ConnectionError or a TimeoutError:", issubclass(kind, (ConnectionError, TimeoutError)))

# %% [markdown]
# `retry_on=(ConnectionError, TimeoutError)` around such a client retries nothing, silently. Name the library's
# errors, or translate them at the boundary.

# %% [markdown]
# <details><summary><strong>Code review</strong>: what else to say about the two listings</summary>
#
# * **No deadline.** With a timeout of 5 s for each attempt, three retries keep a caller waiting for up to 20.7 s.
# * **A second execution.** `except Exception` also retries timeouts and lost connections, after which the work may be
#   done already. The listings are safe for idempotent operations only.
# * **The exponent isn't limited.** In Rust `100 * 2_u64.pow(attempt - 1)` overflows at attempt 59: a panic in a debug
#   build. In a release build it wraps around, and from attempt 63 on the pause is 0 ms, a hot loop. No real caller
#   waits that long, but a test with a paused clock does. In Python `0.1 * 2 ** 1100` raises `OverflowError`.
# * **It logs at every attempt.** In an outage every attempt of every request writes a line, just when the
#   machine has no time for it. Count retries instead, and log once at the end.
# * **Nothing limits all callers together.** Each call is polite, a thousand of them aren't. To limit them all you need
#   a retry budget (the last notebook) or a circuit breaker (the next one).
# * **The second listing's jitter** can only lengthen a pause: its mean is 1.25 ceilings, against 0.5 for full jitter.
# * **Three good things** that a rewrite easily loses: a fresh operation for each attempt, no pause after the last one,
#   and the last error passed on unchanged.
#
# </details>
#
# <details><summary><strong>For Rust readers</strong></summary>
#
# * `FnMut() -> Fut` makes a fresh future for each attempt; Python's counterpart is the function `op`. A Python
#   coroutine starts only when it is awaited, as a future does only when it is polled. A task, once made, runs by
#   itself.
# * `let mut rng = rand::thread_rng()` is held across `.await`. `ThreadRng` isn't `Send`, so neither is the future,
#   and `tokio::spawn` rejects it. Draw the number in a block of its own before the `.await`, or pass in a `StdRng`.
# * `Result<T, E>` with any `E` has no way to say "don't try this again". Take a predicate `Fn(&E) -> bool`, or a
#   trait; in Python the classes in `retry_on` do it.
# * Dropping a Rust future is like cancelling in Python, with one difference. The drop runs no further line of the
#   function; `CancelledError` propagates through `except` and `finally`, and can be swallowed there.
# * `tokio::time::pause()` is Rust's virtual clock. The tests of this notebook would work there too.
#
# </details>
