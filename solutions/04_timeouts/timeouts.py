# %% [markdown] lecture="Timeout Patterns"
# # Timeouts
#
# **Who is really waiting?** A timeout looks like a knife: at the given second the work is cut off, and you go on. It is
# more like a polite request to stop, and you have to wait until it is granted. This notebook is about what happens in
# between.
#
# About 30 minutes to read, and 55 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import random

from autograder import check
from faultlab import COLORS, World, axes, error, hang, live, mark, ok, show, simulate, waiting
from faultlab.explore import explore
from faultlab.lanes import compare, lanes
from faultlab.notebook import start
from faultlab.pictures.figure import chart_svg
from faultlab.warmup import estimate, mended, predict

start()

# %%
import asyncio
import contextlib

# %% [markdown]
# ## A puzzle: a timeout of one second
#
# Our service uploads a report to a partner every night. Sometimes the partner's machine never answers, so the upload
# has a timeout of one second. The partner expects a goodbye in every case, so the goodbye stands in a `finally`.


# %%
async def send_report(upload, goodbye):
    try:
        return await upload()
    finally:
        await goodbye()  # takes three seconds


async def send_in_time(upload, goodbye):
    try:
        async with asyncio.timeout(1):
            return await send_report(upload, goodbye)
    except TimeoutError:
        mark("TimeoutError")


# %% [markdown]
# Tonight the partner's machine hangs. **Predict** (1 of 4) before you open the picture.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def hung_night():
    world = World()
    upload = world.service("upload", then=hang()).for_lane("work")
    goodbye = world.service("goodbye", latency=3).for_lane("finally")

    async def caller():
        with waiting("send_in_time"):
            await send_in_time(upload, goodbye)

    return simulate(caller(), world=world).timeline


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "After how many seconds does the caller hear that its timeout of one second has expired?",
    [1, 3, 4, "never"],
    lambda: round(hung_night().marks("TimeoutError")[0].at),
    why="At 1 s the work is asked to stop. Then its `finally` runs to its end, and only then does the caller go on.",
    picture=lambda said: lanes(
        hung_night(),
        title="A timeout of 1 s and a goodbye of 3 s: when does the caller hear?",
        order=["caller", "work", "finally"],
        until=4.8,
    ),
)

# %% [markdown]
# `asyncio.timeout` does three things, one after the other:
#
# 1. When the time is up, it **cancels** the task that it runs in: `CancelledError` is raised at the `await` where the
#    task is waiting.
# 2. It **waits** while that exception travels up through every `except` and `finally` inside the `async with`.
# 3. When the exception arrives at the `async with`, it becomes a **`TimeoutError`**.
#
# > **The pattern in one sentence:** a timeout asks the work to stop, waits until it has stopped, and then tells you.
#
# In Python a `finally` may await. That is a gift: in Rust it can't. It also has a price: cleanup is part of your
# waiting time, and it can hang like everything else.
#
# The same puzzle on the real clock, ten times as fast:

# %%
import time

quick_world = World()
hung, slow_goodbye = quick_world.service("upload", then=hang()), quick_world.service("goodbye", latency=0.3)


async def send_live():
    began = time.perf_counter()
    try:
        async with asyncio.timeout(0.1):
            await send_report(hung, slow_goodbye)
    except TimeoutError:
        return time.perf_counter() - began


print(f"timeout(0.1) took {(await live(send_live(), world=quick_world)).value:.1f} s")

# %% [markdown] lecture="Per-Request Timeout"
# ## The lecture's first listing: a timeout for each request
#
# In Rust, `timeout(five seconds, fetch_data(url))` returns a result inside a result. The outer one says whether there
# was enough time, the inner one how the fetch itself went. In Python both arrive as exceptions.


# %% lecture="fetch_with_timeout"
class LectureTimeout(Exception):
    """The lecture's ApiError::Timeout."""


async def lecture_fetch_with_timeout(fetch, url):
    try:
        async with asyncio.timeout(5):
            return await fetch(url)
    except TimeoutError:
        raise LectureTimeout("not done after 5 s") from None


# %% [markdown]
# It does what it was written for: an answer passes, and a fetch that hangs ends after five seconds.


# %%
def fetched(*replies):
    world = World(seed=4)
    fetch = world.service("fetch", list(replies), latency=0.2)
    run = simulate(lecture_fetch_with_timeout(fetch, "/report"), world=world, catch=True)
    return f"{run.error!r}" if run.error else f"{run.value!r}"


print("an answer:  ", fetched(ok("the report")))
print("it hangs:   ", fetched(hang()))
print("it fails:   ", fetched(error("ConnectionError", "connection refused")))

# %% [markdown]
# ### One thing changes: the fetch has a timeout of its own
#
# The fetch asks a proxy, and the proxy gives up on the server after 0.2 s. The fetch then raises a `TimeoutError` of
# its own, long before our five seconds are over.
#
# **Predict** (2 of 4): the Rust listing keeps the two timeouts apart. Does the Python version?

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The fetch raises its own TimeoutError after 0.2 s. What comes out of lecture_fetch_with_timeout?",
    {"that TimeoutError": "TimeoutError", "LectureTimeout, 'not done after 5 s'": "LectureTimeout", "nothing": "None"},
    lambda: fetched(error("TimeoutError", "from the proxy")).partition("(")[0],
    why="`except TimeoutError` can't tell whose timeout it was. The message is wrong, too: only 0.2 s had passed.",
)

# %% [markdown]
# Only the timeout itself knows whether it expired, and it can be asked:


# %%
async def fetch_and_ask(fetch, url):
    try:
        async with asyncio.timeout(5) as limit:
            return await fetch(url)
    except TimeoutError:
        if not limit.expired():
            raise  # the fetch's own timeout: a failure like any other
        raise LectureTimeout("not done after 5 s") from None


# %% [markdown]
# ### Another thing changes: the caller tries again
#
# Five seconds *per request* say nothing about how long a person waits. Now a retry surrounds the listing, with four
# attempts and pauses of 0.1, 0.2 and 0.4 s. The server hangs.


# %%
async def patient_fetch(fetch):
    for pause in (0.1, 0.2, 0.4, None):
        try:
            return await fetch_and_ask(fetch, "/report")
        except LectureTimeout:
            if pause is None:
                raise
        await asyncio.sleep(pause)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def waited(fetching):
    world = World()
    fetch = world.service("fetch", then=hang()).for_lane("fetch")

    async def retry():
        with contextlib.suppress(LectureTimeout, TimeoutError), waiting("an answer", lane="caller"):
            await fetching(fetch)
        mark("hears of it", lane="caller")

    return simulate(retry(), world=world).timeline


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "How many seconds does the caller wait until it hears that there is no answer?",
    lambda: waited(patient_fetch).duration,
    unit="s",
    tolerance=0.01,
    why="Four attempts of 5 s, and three pauses that add up to 0.7 s.",
)

# %% [markdown]
# What the caller needs is **one deadline for everything**. `asyncio.timeout_at` takes an instant instead of a duration.
# So one deadline can be passed down through all layers, and each attempt gets the time that is left:


# %%
async def patient_until(fetch, deadline):
    async with asyncio.timeout_at(deadline):
        return await patient_fetch(fetch)


async def in_eight_seconds(fetch):
    return await patient_until(fetch, asyncio.get_running_loop().time() + 8)


TITLES = ("One deadline of 8 s: how long does the caller wait?", "A timeout of 5 s for each attempt: how long now?")
show(
    compare(waited(in_eight_seconds), waited(patient_fetch), titles=TITLES),
    alt="Above: two attempts, the second is given up at 8 s. Below: four attempts of 5 s, until 20.7 s.",
    table=False,
    fold="One deadline, and a timeout for each attempt",
)

# %% [markdown]
# ## asyncio you need: three facts about cancellation
#
# **1. A cancellation lands at an `await`.** At second 1, four tasks are cancelled; `not_begun` was created only a
# moment before. Say for each of them where the cancellation lands, then open the picture.


# %%
async def one_wait():
    await asyncio.sleep(3)


async def three_steps():
    for _ in range(3):
        await asyncio.sleep(0.7)


async def with_finally():
    try:
        await asyncio.sleep(3)
    finally:
        await asyncio.sleep(0.8)


begun = []


async def not_begun():
    begun.append(True)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def cancel_them_all():
    tasks = [asyncio.create_task(kind(), name=kind.__name__) for kind in (one_wait, three_steps, with_finally)]
    await asyncio.sleep(1)
    tasks.append(asyncio.create_task(not_begun(), name="not_begun"))
    for task in tasks:
        task.cancel()
    mark("cancels all")
    if not begun:
        mark("never runs a line", lane="not_begun")
    await asyncio.wait(tasks)


show(
    simulate(cancel_them_all()).timeline,
    title="Four tasks are cancelled at 1 s: where does the cancellation land?",
    order=["cancel_them_all", "one_wait", "three_steps", "with_finally", "not_begun"],
    until=2.0,
    fold="Where it lands",
)

# %% [markdown]
# <details><summary>In words</summary>
#
# `one_wait` stops in its wait, and `three_steps` in its second step: its third step never happens. `with_finally` goes
# on to its `finally`, which may take time. `not_begun` was cancelled before its first line. Not one line of it ran, and
# a `finally` in it wouldn't have run either.
#
# Between two awaits no cancellation lands: a loop that computes for a minute can't be timed out.
#
# </details>
#
# **2. A cancellation is an exception, and code can catch it.** `stubborn` catches every exception and asks once more.
# **Predict** (3 of 4):


# %%
async def stubborn(ask):
    try:
        return await ask()
    except BaseException:  # "whatever it was, once more"
        await asyncio.sleep(0.1)
        return await ask()


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def timed_out(function):
    world = World(seed=1)
    ask = world.service("ask", [ok("a late answer", after=10), ok("a late answer", after=10)]).for_lane("work")

    async def caller():
        with waiting("an answer"):
            async with asyncio.timeout(1):
                return await function(ask)

    run = simulate(caller(), world=world, catch=True)
    ended = "an answer" if run.error is None else type(run.error).__name__
    return f"{ended} after {run.timeline.duration:g} s", run.timeline


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Each ask takes 10 s. What does the caller get from `stubborn`, inside a timeout of 1 s?",
    ["TimeoutError after 1 s", "TimeoutError after 11.1 s", "an answer after 10 s", "an answer after 11.1 s"],
    lambda: timed_out(stubborn)[0],
    why="The cancellation at 1 s was swallowed by the `except`. A timeout asks only once.",
    picture=lambda said: lanes(
        timed_out(stubborn)[1],
        title="timeout(1) around stubborn: when does the caller get its answer?",
        order=["caller", "work"],
        until=13,
    ),
)

# %% [markdown]
# ### Warm-up: fix the swallowed cancellation
#
# `helpful` may still try once more after any *error*, but a cancellation must propagate. Change the cell below, then
# run it and the folded cell after it, until the line there says that it is fixed.


# %%
async def helpful(ask):
    try:
        return await ask()
    except BaseException:
        await asyncio.sleep(0.1)
        return await ask()


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def still_wrong():
    said, _ = timed_out(helpful)
    if said != "TimeoutError after 1 s":
        return f"each ask takes 10 s and the timeout is 1 s, but the caller gets {said}"
    world = World()
    ask = world.service("ask", [error("ConnectionError", "refused"), ok("fine")], latency=0.2)
    run = simulate(helpful(ask), world=world, catch=True)
    return "" if run.value == "fine" else "after an ordinary ConnectionError, helpful must ask once more"


_ = mended(
    still_wrong,
    well="Fixed: `helpful` tries again after errors, and a cancellation propagates.",
    hint="`CancelledError` isn't a subclass of `Exception`. Which class should this `except` name?",
)

# %% [markdown]
# **3. Cancelling is one thing, waiting for the end another.** `task.cancel()` returns at once, when the task hasn't
# stopped yet. If you go on without awaiting the task, you work beside code that is still cleaning up.


# %% cover="true"
async def cancel_and_wait():
    task = asyncio.create_task(with_finally(), name="with_finally")
    await asyncio.sleep(1)
    task.cancel()
    mark("cancel() returned")
    with waiting("the task"):
        await asyncio.wait([task])
    mark("it has ended")


show(
    simulate(cancel_and_wait()).timeline,
    title="When has a cancelled task ended?",
    order=["cancel_and_wait", "with_finally"],
    until=2.3,
)

# %% [markdown] lecture="Global Timeout with Cleanup"
# ## The lecture's second listing: a timeout with cleanup
#
# Now the work holds something that must be given back: a lock, a temporary file, a half-written row. The listing's idea
# is a signal: the work listens for it beside its real task, and the timeout's handler sends it. Here it is in Python,
# with an `asyncio.Event` in place of the channel and `asyncio.wait` in place of `select!`:


# %% lecture="operation_with_cleanup"
async def lecture_operation_with_cleanup(do_work, clean_up, seconds=10):
    signal = asyncio.Event()

    async def listening():
        doing, told = asyncio.ensure_future(do_work()), asyncio.ensure_future(signal.wait())
        try:
            await asyncio.wait([doing, told], return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            await clean_up()  # the signal came
        finally:
            doing.cancel()
            told.cancel()

    try:
        async with asyncio.timeout(seconds):
            return await listening()
    except TimeoutError:
        signal.set()
        raise LectureTimeout(f"not done after {seconds} s") from None


# %% [markdown]
# When the work is done in time, its result comes back, as it should. **Predict** (4 of 4) what happens when it hangs.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def ten_seconds(work_reply):
    world = World(seed=2)
    do_work = world.service("work", [work_reply]).for_lane("work")
    cleanup = world.service("cleanup", latency=2).for_lane("cleanup")
    begun = []

    async def clean_up():
        begun.append(True)
        await cleanup()

    async def caller():
        try:
            with waiting("the operation"):
                return await lecture_operation_with_cleanup(do_work, clean_up)
        except LectureTimeout:
            mark("LectureTimeout")
        await asyncio.sleep(3)  # time enough for a late cleanup
        if not begun:
            mark("never ran", lane="cleanup")

    return simulate(caller(), world=world)


# %%
print("in time:", ten_seconds(ok("done", after=3)).value)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The work hangs. How many times does `clean_up` run?",
    [0, 1, 2],
    lambda: len(ten_seconds(hang()).timeline.calls("cleanup")),
    why="First the timeout stops `listening`, and then the signal is sent: no task is left to hear it.",
    picture=lambda said: lanes(
        ten_seconds(hang()).timeline,
        title="The work hangs, and the timeout is 10 s: does the cleanup run?",
        order=["caller", "work", "cleanup"],
        until=15,
    ),
)

# %% [markdown]
# In Rust the effect is the same, only more final: `timeout` owns the work and drops it, together with the receiving end
# of the channel. The `send` that follows fails, and `let _ =` discards that error.
#
# The way out needs no signal: the work's own cancellation **is** the signal.


# %%
async def finally_clean(do_work, clean_up):
    try:
        return await do_work()
    except asyncio.CancelledError:
        await clean_up()
        raise  # the cancellation propagates: we were asked to stop


# %% [markdown]
# ## The caller waits too: cleanup lanes
#
# This has a price, as in the puzzle: now the caller waits for the cleanup, too. And what if the cleanup hangs? There
# are four ways to write it. The first two are the lecture's signal and the plain `await` above. The third gives the
# cleanup a limit of its own, a *grace period*. The fourth makes the cleanup a task that no cancellation reaches:


# %%
async def bounded_clean(do_work, clean_up, grace=1.0):
    try:
        return await do_work()
    except asyncio.CancelledError:
        try:
            async with asyncio.timeout(grace):
                await clean_up()
        except TimeoutError:
            mark("grace is over", lane="cleanup")
        raise


# %%
left_behind = set()  # the event loop itself keeps only weak references to its tasks


async def shielded_clean(do_work, clean_up):
    try:
        return await do_work()
    except asyncio.CancelledError:
        task = asyncio.ensure_future(clean_up())
        left_behind.add(task)
        await asyncio.shield(task)  # a second cancellation ends this wait, not the task
        raise


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def signal_clean(do_work, clean_up):
    return await lecture_operation_with_cleanup(do_work, clean_up, seconds=60)


VERSIONS = {
    "the lecture's signal": signal_clean,
    "await it": finally_clean,
    "await it, 1 s at most (grace)": bounded_clean,
    "await it, shielded": shielded_clean,
}


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def cleanup_lanes(version="the lecture's signal", seconds=3.0, impatient=False):
    world = World()
    do_work = world.service("work", then=hang()).for_lane("work")
    cleanup = world.service("cleanup", latency=seconds).for_lane("cleanup")
    left_behind.clear()
    begun = []

    async def clean_up():
        begun.append(True)
        await cleanup()

    async def caller():
        with contextlib.suppress(TimeoutError), waiting("its work"):
            async with asyncio.timeout(2.5 if impatient else None):  # the caller's own caller gives up
                async with asyncio.timeout(1):
                    await VERSIONS[version](do_work, clean_up)
        mark("goes on")
        if not begun:
            mark("never ran", lane="cleanup")
        await asyncio.gather(*left_behind)

    return simulate(caller(), world=world)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def cleanup_picture(version="the lecture's signal", seconds=3.0, impatient=False):
    return lanes(
        cleanup_lanes(version, seconds, impatient).timeline,
        title=f"A timeout of 1 s, then a cleanup of {seconds:g} s ({version}): when does the caller go on?",
        order=["caller", "work", "cleanup"],
        height=210,
        until=7.5,
    )


explore(
    cleanup_picture,
    alt="Three lanes: the caller, its work, and the cleanup after a timeout of 1 s.",
    labels={"seconds": "cleanup takes, s", "impatient": "second cancellation at 2.5 s"},
    version=list(VERSIONS),
    seconds=(0.5, 6.0, 0.5),
    impatient=False,
)

# %% [markdown]
# Try these settings. Before each one, predict when the caller goes on:
#
# * *await it*, with a cleanup of 6 s. Then the same with the second cancellation: what happens to the cleanup?
# * *await it, 1 s at most (grace)*, with 0.5 s and with 3 s. This is what the exercise asks for.
# * *await it, shielded*, with the second cancellation: the caller leaves, and the cleanup continues without it.
#
# Shield what must not be interrupted, such as releasing a lock that others wait for. Then other code must make sure
# that it ends. For everything else, use a grace period.

# %% [markdown]
# ## How long should a timeout be?
#
# A timeout that is too short throws away answers that were on their way. These are *false timeouts*: each request is
# sent again and adds load. With a timeout that is too long, every request that hangs keeps its slot all that time. So
# look at how long answers take. Of the following 20,000 requests 2 % never come back. The others have a median of 50 ms
# and a long tail. (The numbers are made up; the shape is what you will find in your own service.)
#
# **Before you move the timeout:** where would you put it?

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import math

HUNG = 0.02
draw = random.Random(7)
ANSWERED = sorted(0.05 * math.exp(draw.gauss(0, 0.7)) * (1 if draw.random() < 0.97 else 8) for _ in range(19_600))


def false_timeouts(limit):
    """The share of requests that would have been answered, but were given up too early."""
    return sum(latency > limit for latency in ANSWERED) / len(ANSWERED)


def slots_held(limit, rate=100):
    """Slots in use on average: at work, and held by what hangs (Little's law: rate x mean time in a slot)."""
    answered = sum(min(latency, limit) for latency in ANSWERED) / len(ANSWERED)
    return rate * (1 - HUNG) * answered, rate * HUNG * limit


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def latency_curve(milliseconds=100):
    limit = milliseconds / 1000
    wasted, (working, hanging) = false_timeouts(limit), slots_held(limit)
    words = f"{100 * wasted:.2f} % false timeouts; {working:.1f} slots at work, {hanging:.1f} held by what hangs"
    title = f"How many answers does a timeout of {milliseconds} ms cost?\n{words}"
    fig, ax = axes(title, "seconds (logarithmic)", "answered by then, %", width=7.2)
    points = [*ANSWERED[::98], ANSWERED[-1]]
    ax.plot(
        points, [100 * (1 - HUNG) * number / len(points) for number in range(len(points))], color=COLORS["answered"]
    )
    ax.axvline(limit, color=COLORS["ink"], linestyle="--")
    ax.text(limit * 1.06, 6, "timeout", color=COLORS["ink"], fontsize=10)
    ax.axhline(100 * (1 - HUNG), color="#555555", linestyle=":")
    ax.text(0.0065, 100 * (1 - HUNG) + 2, "2 % never answer", fontsize=9)
    ax.set(xscale="log", xlim=(0.006, 6), ylim=(0, 110))
    ax.set_xticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    return chart_svg(fig, title)


explore(
    latency_curve,
    alt="The percentage of requests answered by a given second, and a line at the timeout.",
    labels={"milliseconds": "timeout, ms"},
    milliseconds=(20, 3000, 20),
)

# %% [markdown]
# Two numbers pull in opposite directions. Amazon's rule: first decide which share of false timeouts you accept, for
# example 0.1 %. Then take the matching percentile of the measured latency as the timeout, here p99.9 ("Timeouts,
# retries, and backoff with jitter", the Amazon Builders' Library). Where would that put the timeout?

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "Which timeout gives 0.1 % false timeouts, in seconds?",
    lambda: ANSWERED[int(0.999 * len(ANSWERED))],
    unit="s",
    tolerance=0.15,
    why="That is twenty-five times the median: the tail is long.",
)

# %% [markdown]
# ## The deadline knee
#
# How bad can a timeout that is too long be? Here is an example from Google's *Site Reliability Engineering* (chapter
# 22). A server has 1,000 threads and gets 1,000 requests a second, each of which needs 100 ms. Now 5 % of them never
# complete, and the deadline is 100 s. All other requests are healthy.

# %%
THREADS, RATE, WORK, STUCK = 1000, 1000, 0.1, 0.05


def threads_needed(deadline):
    return RATE * ((1 - STUCK) * WORK + STUCK * deadline)


def share_served(deadline):
    return min(1.0, THREADS / threads_needed(deadline))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "What percentage of requests find a thread?",
    lambda: 100 * share_served(100),
    unit="%",
    tolerance=0.1,
    why=f"The 5 % hold 50 x 100 threads, the others 95: {threads_needed(100):,.0f} are needed, and there are 1,000.",
)

# %% [markdown]
# From which deadline on do requests find no thread? The line in the picture is calculated. The dots are a simulation of
# the same server at a tenth of its size, 400 s long.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
import heapq


def share_admitted(deadline, scale=10, seconds=400):
    """The share of requests that find a free thread, measured once the server has filled up."""
    draw, busy, admitted, seen = random.Random(1), [], 0, 0
    filled = max(2 * deadline, 20)
    for number in range(int((filled + seconds) * RATE / scale)):
        now = number * scale / RATE
        while busy and busy[0] <= now:
            heapq.heappop(busy)
        free = len(busy) < THREADS / scale
        if free:
            heapq.heappush(busy, now + (deadline if draw.random() < STUCK else WORK))
        if now >= filled:
            seen, admitted = seen + 1, admitted + free
    return admitted / seen


KNEE = (THREADS / RATE - (1 - STUCK) * WORK) / STUCK


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def deadline_knee():
    title, x = "From which deadline on do requests find no thread?", "deadline, seconds (logarithmic)"
    fig, ax = axes(title, x, "requests served, %", width=7.6)
    deadlines = [10 ** (number / 40) for number in range(93)]
    ax.plot(deadlines, [100 * share_served(one) for one in deadlines], color=COLORS["answered"])
    some = (2, 5, 10, 20, 40, 100)
    ax.plot(some, [100 * share_admitted(one) for one in some], "o", color=COLORS["ink"], linestyle="")
    ax.text(1.1, 92, "calculated (line)", fontsize=10)
    ax.text(46, 51, "simulated (dots)", fontsize=10)
    ax.annotate(f"the knee: {KNEE:.1f} s", (KNEE, 100), (30, 92), arrowprops={"arrowstyle": "->"}, fontsize=10)
    ax.annotate(f"{100 * share_served(100):.1f} % at 100 s", (100, 19.6), (22, 26), arrowprops={"arrowstyle": "->"})
    ax.set(xscale="log", ylim=(0, 108))
    ax.set_xticks([1, 10, 100], ["1", "10", "100"])
    return fig


show(
    deadline_knee(),
    alt="All requests are served up to a deadline of 18.1 s; from there on the share falls, to 19.6 % at 100 s.",
    fold="What happens",
)

# %% [markdown]
# <details><summary>In words</summary>
#
# Up to a deadline of 18 s every request is served; beyond it the share falls steeply. One request in twenty then takes
# the service away from all others. (The dot at 20 s lies below the line, because chance weighs more in a smaller
# server.)
#
# </details>
#
# So a deadline is also a promise to the *other* requests.

# %% [markdown]
# ## Exercise: `run_with_deadline`
#
# *7 points.* Put everything above into one function that you could really use:
#
# ```python
# class DeadlineExceeded(Exception)
# async def run_with_deadline(work, *, timeout, cleanup, grace=1.0)
# ```
#
# `work` and `cleanup` are called without arguments, and each call returns an awaitable. Times are in seconds.
#
# * If `work` ends in time, return its result unchanged, whatever it is. Don't call `cleanup`.
# * If `work` raises in time, let that very exception propagate, even if it is a `TimeoutError`. Don't call `cleanup`.
# * If the time is up, stop the work and await its unwinding, however long that takes. Then call and await `cleanup()`,
#   exactly once. Then raise `DeadlineExceeded`.
# * If your caller cancels you, or an outer timeout expires, while the work runs, take the same steps. Then let the
#   cancellation propagate.
# * `cleanup` gets at most `grace` seconds, counted from its own start. Even if it fails or runs out of time,
#   `DeadlineExceeded` or the cancellation still comes out.
#
# Three cases are left open: work that swallows its cancellation, work that raises another exception while it unwinds,
# and a second cancellation. (This `DeadlineExceeded` says that a deadline of your own has passed. The service error of
# that name in [01](../01_errors/errors.ipynb) is another class, with a status.)
#
# The checks test no clause that isn't written here, and in no test are two times exactly equal. `asyncio` and
# `contextlib` are imported.


# %% exercise="timeouts"
class DeadlineExceeded(Exception):
    """The work didn't end in time."""


async def run_with_deadline(work, *, timeout, cleanup, grace=1.0):
    """Return the result of `work()`. If it isn't done after `timeout` seconds, clean up and raise DeadlineExceeded."""
    ### BEGIN SOLUTION

    async def tidy():
        with contextlib.suppress(Exception):
            async with asyncio.timeout(grace):
                await cleanup()

    try:
        async with asyncio.timeout(timeout) as limit:
            return await work()
    except asyncio.CancelledError:
        await tidy()
        raise
    except TimeoutError as error:
        if not limit.expired():
            raise
        await tidy()
        raise DeadlineExceeded(f"not done after {timeout:g} s") from error
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: where to begin</summary>
#
# `async with asyncio.timeout(timeout) as limit: return await work()` already meets the first two clauses and stops the
# work. Make those checks pass. Then list the ways out of that block: a result, the work's own error, our timeout, a
# cancellation. Which two of them need the cleanup?
# </details>
#
# <details><summary>Hint 2: telling them apart</summary>
#
# A cancellation from outside arrives as `CancelledError`. Our timeout arrives as `TimeoutError`, and so may an error of
# the work itself: ask `limit.expired()`. Both ways out that need the cleanup need the same one. So write an inner
# `async def tidy()`, with a timeout of its own around `await cleanup()`, and suppress every `Exception` in it.
# </details>
#
# <details><summary>Hint 3: the lines of a solution, shuffled</summary>
#
# ```
# except TimeoutError as error:
# async with asyncio.timeout(grace):
# await tidy()
# raise
# return await work()
# raise DeadlineExceeded(...) from error
# with contextlib.suppress(Exception):
# if not limit.expired():
# await cleanup()
# async def tidy():
# except asyncio.CancelledError:
# async with asyncio.timeout(timeout) as limit:
# try:
# await tidy()
# raise
# ```
# </details>

# %% [markdown]
# ## What practitioners use
#
# **`asyncio.timeout`, `timeout_at`, `expired()`** are what you have just used. You can also move a timeout while it
# runs, for example at every sign of life: `limit.reschedule(when)`.
#
# **anyio**, on which Starlette and httpx2 are built, has `move_on_after`. One rule differs: a cancelled scope cancels
# *every* await in it, again and again. So a bare `await` in a `finally` is cut off at once, and cleanup must ask for
# protection with `shield=True`. The same line sets the grace period:

# %%
import anyio


async def tidy_with_anyio(clean_up, shield):
    with anyio.move_on_after(1):
        try:
            await anyio.sleep(60)
        finally:
            with anyio.move_on_after(2, shield=shield):  # two seconds of grace
                await clean_up()


for shield in (False, True):
    anyio_world = World()
    clean_up = anyio_world.service("cleanup", latency=0.5)
    seen = simulate(tidy_with_anyio(clean_up, shield), world=anyio_world).timeline.calls("cleanup")
    print(f"shield={shield!s:5}  cleanup:", ", ".join(call.outcome for call in seen) or "never reached the service")

# %% [markdown]
# **An HTTP client's timeout isn't a deadline.** In httpx2, `timeout=0.5` is a limit for each *phase*: connecting, each
# single read, each write. Here is a real server that sends one byte every 0.1 s, seven in all. How long does a client
# with `timeout=0.5` wait? (This runs on the real clock, over loopback.)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def dripping(reader, writer):
    with contextlib.suppress(ConnectionError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\n")
        for letter in b"dripped":
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.write(bytes([letter]))
        await writer.drain()
    writer.close()


# %%
import httpx2


async def fetch_dripping(client, seconds):
    began = time.perf_counter()
    try:
        async with asyncio.timeout(seconds):
            said = (await client.get(f"http://127.0.0.1:{port}/")).text
    except TimeoutError:
        said = "TimeoutError"
    return f"{said} after {time.perf_counter() - began:.1f} s"


server = await asyncio.start_server(dripping, "127.0.0.1", 0)
port = server.sockets[0].getsockname()[1]
async with httpx2.AsyncClient(timeout=0.5, trust_env=False) as client:
    print("httpx2 with timeout=0.5:          ", await fetch_dripping(client, None))
    print("the same in asyncio.timeout(0.25):", await fetch_dripping(client, 0.25))
server.close()

# %% [markdown]
# The client's own limit never expired, because no single read took 0.5 s. Keep that limit, because it finds dead
# connections, and put the deadline around the whole request.
#
# <details><summary>Code review: the rest of the two listings, and the worked solution</summary>
#
# * The five and the ten seconds each appear twice, in the call and in the error: one day they will differ.
# * If the cleanup in the second listing ran, nothing would limit it.
# * `let _ = cancel_tx.send(())` discards the one value that would have shown the mistake: no receiver is left.
# * Work with a timeout must be *safe to stop* at every await: a half-written file stays half written.
# * A timeout doesn't stop a thread. `asyncio.to_thread` stops waiting, but the thread keeps working and keeps its slot
#   in the pool.
# * After a timeout, a payment may still have been made. Ask, or use an idempotency key; don't simply send it again.
# * The worked solution suppresses an error of `cleanup` without a trace. In a real service log it, or attach it to the
#   exception that comes out, with `add_note`.
# </details>
#
# <details><summary>For Rust readers</summary>
#
# | Rust (Tokio) | Python (asyncio) |
# |---|---|
# | `timeout(d, future).await` | `async with asyncio.timeout(d)` |
# | the future is dropped at once | the task is cancelled and *unwinds*; you wait for it |
# | `Drop` can't await | `finally` and `except CancelledError` can |
# | `Ok(Err(e))` or `Err(Elapsed)` | `limit.expired()` |
# | `timeout_at(instant, ...)` | `asyncio.timeout_at(when)` |
# | can't be ignored | an `except` that is too wide swallows it |
# | `CancellationToken` of tokio-util: cancel it, then await the task | `task.cancel()`, then await the task |
# </details>
#
# <details><summary>Questions to take along</summary>
#
# 1. `async with asyncio.timeout(1)` surrounds code that hangs and whose `finally` sleeps for 3 s. When does it return?
#    *(At 4 s.)*
# 2. Why does the exercise's function not simply use `finally: await cleanup()`? *(Cleanup would also run after a
#    success and after the work's own errors.)*
# 3. A caller with 200 ms left calls you, and your database has a timeout of 5 s. What is the mistake? *(You may work
#    for 4.8 s although your caller has gone. Pass the deadline on, as an instant or as the time left.)*
# 4. How would you choose a timeout for a service that you haven't measured yet? *(Choose a generous one, below the
#    knee, and measure. Then use the percentile that matches the false timeouts you accept.)*
# </details>
