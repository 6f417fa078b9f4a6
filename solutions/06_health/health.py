# %% [markdown] lecture="Health Checks and Monitoring"
# # Health
#
# *Am I healthy **now**?* A service is asked this every few seconds, and what it answers decides whether it gets
# traffic. About 30 minutes of reading and trying, and 75 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import math
import random
import statistics
from dataclasses import asdict, dataclass
from itertools import pairwise

import httpx2
import numpy
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from autograder import check
from faultlab import World, axes, live, mark, show, simulate
from faultlab.explore import explore
from faultlab.notebook import start
from faultlab.raster import Interval, raster, slots
from faultlab.warmup import estimate, mended, predict

start()

# %%
import asyncio
import json
from collections import deque

from prometheus_client import CollectorRegistry, Counter, generate_latest

# %% [markdown]
# ## The case
# A small service with a database behind it. What the people on call wrote down afterwards:
#
# | clock | what happened |
# |---|---|
# | 10:00:00 | the database goes away; from now on *every* request fails |
# | 10:08:47 | the health check says 503 for the first time, and the pager rings |
# | 10:10:00 | the database is back, and every request works again |
# | 10:33:20 | the health check says 200 again |
#
# Nobody slept, no alarm was switched off, and the check was asked every second. For almost nine minutes it called a
# service healthy that answered nobody, and then for 23 minutes it called a working service sick. We know the
# service's traffic, 100 requests a second, and that it had run without a failure since 07:13:20. That is enough to
# find out who did it.
#
# ## The idea
# **Judge the last minute, not the whole life; and let time alone be enough to forget.** In a few lines:


# %%
class RecentFailures:
    """The share of failures among the requests of the last `seconds`."""

    def __init__(self, seconds=60.0):
        self.seconds, self.seen = seconds, []

    def add(self, went_well):
        self.seen.append((asyncio.get_running_loop().time(), went_well))

    def share(self):
        oldest = asyncio.get_running_loop().time() - self.seconds
        latest = [went_well for at, went_well in self.seen if at > oldest]
        return latest.count(False) / len(latest) if latest else 0.0


# %% [markdown]
# Two requests fail, and nothing else ever happens. What does it say right away, and what a minute later? (The clock
# of a run is virtual, so the minute costs nothing.)


# %%
async def two_failures():
    failures = RecentFailures()
    failures.add(False)
    failures.add(False)
    right_away = failures.share()
    await asyncio.sleep(61)
    return right_away, failures.share()


simulate(two_failures()).value

# %% [markdown]
# ## The suspect
# The service on duty that morning had a check like the lecture's: four numbers that only grow, a success rate, an
# average, and a verdict.


# %% lecture="ServiceMetrics"
class LectureServiceMetrics:
    def __init__(self):
        self.total_requests = self.successful_requests = self.failed_requests = 0
        self.total_latency_ms = 0

    def record_request(self, latency_ms, success):
        self.total_requests += 1
        self.total_latency_ms += latency_ms
        if success:
            self.successful_requests += 1
        else:
            self.failed_requests += 1

    def success_rate(self):
        return self.successful_requests / self.total_requests if self.total_requests else 1.0

    def average_latency(self):
        return self.total_latency_ms / self.total_requests if self.total_requests else 0.0


# %% [markdown]
# The verdict is an HTTP answer: 200 or 503, with its reasons as JSON. A machine reads the status, a person the body.


# %% lecture="health_check; HealthResponse"
@dataclass
class LectureHealthResponse:
    healthy: bool
    success_rate: float
    average_latency_ms: float


def lecture_health_check(metrics):
    """The status and the body of GET /health."""
    success_rate, average = metrics.success_rate(), metrics.average_latency()
    healthy = success_rate > 0.95 and average < 1000.0
    body = LectureHealthResponse(healthy, success_rate, average)
    return 200 if healthy else 503, json.dumps(asdict(body))


# %% [markdown]
# It does what it was written for. A young service, a hundred requests, two of them failed; then five more fail:

# %%
young = LectureServiceMetrics()
for number in range(100):
    young.record_request(latency_ms=40, success=number >= 2)
print(*lecture_health_check(young))
for _ in range(5):
    young.record_request(latency_ms=40, success=False)
print(*lecture_health_check(young))

# %% [markdown]
# ## First finding: a long good life
# One thing changes: the service isn't young. It has answered a million requests well. Now all of them fail.


# %%
def minutes_unseen(good, a_second=100):
    """How long every request fails before the lecture's check, asked every second, says 503."""
    old = LectureServiceMetrics()
    old.total_requests = old.successful_requests = good
    seconds = 0
    while lecture_health_check(old)[0] == 200:
        for _ in range(a_second):
            old.record_request(latency_ms=10, success=False)
        seconds += 1
    return seconds / 60


estimate(
    "A million good requests, then every one fails, 100 a second. After how many minutes does the check say 503?",
    lambda: minutes_unseen(1_000_000),
    unit="minutes",
    tolerance=0.1,
    why="The rate must fall to 95 %, so for 19 good requests one must fail: 52,632 failures on a million. That is 8.8 "
    "minutes of nobody being answered, and it is the gap in the log.",
)

# %% [markdown]
# The better the past, the longer the blindness. And afterwards the failures weigh as long: each one needs 19
# successes.

# %%
for hours in (1, 24, 24 * 30):
    good = hours * 3600 * 100
    print(f"{hours:4} h without a failure: blind for {(good / 0.95 - good) / 100 / 60:8.1f} minutes")

failed = 10 * 60 * 100
print(f"no past at all, and an outage of 10 minutes: green again after {19 * failed / 100 / 3600:.1f} hours")

# %% [markdown]
# The same morning, second by second, as three signals see it: the success rate since the start, the success rate of
# the last 60 seconds, and p99 of the last 60 seconds (the latency that 99 of 100 requests stay below; failing
# requests take 2 s here, because they wait for a database that isn't there). Before you open the picture: when does
# each of them turn?


# %%
def morning(good=10_000, outage=600, after=1_900, window=60):
    """Second by second, from 5 minutes before the outage: the success rates, and p99 in seconds."""
    worked = numpy.ones(good + outage + after)
    worked[good : good + outage] = 0
    sums = numpy.concatenate([[0], numpy.cumsum(worked)])
    ends = numpy.arange(good - 300, len(worked)) + 1
    since_start = sums[ends] / ends
    recent = (sums[ends] - sums[ends - window]) / window
    return since_start, recent, numpy.where(recent < 0.99, 2.0, 0.01)


def ribbon(name, verdicts):
    """A lane of "ready" and "not ready" from a verdict for each second."""
    turns = [0, *(numpy.flatnonzero(numpy.diff(verdicts)) + 1).tolist(), len(verdicts)]
    word = ("not ready", "ready")
    return [Interval(name, word[int(verdicts[begin])], begin, end) for begin, end in pairwise(turns)]


COLORS = {"ready": "ok", "not ready": "failed", "answers": "ok", "fails": "cancelled"}

# %%
since_start, recent, slowest = morning()
truth = [Interval("the service", *one) for one in [("answers", 0, 300), ("fails", 300, 900), ("answers", 900, 2800)]]
lanes_of_three = [
    *ribbon("since the start", since_start > 0.95),
    *ribbon("last 60 s", recent > 0.95),
    *ribbon("p99, last 60 s", slowest < 1.0),
]
show(
    slots(
        [*truth, *lanes_of_three],
        title="Three signals over one outage",
        order=["the service", "since the start", "last 60 s", "p99, last 60 s"],
        tenants=COLORS,
        steps={
            "success rate since the start": list(enumerate(since_start.tolist())),
            "success rate, last 60 s": list(enumerate(recent.tolist())),
        },
    ),
    fold="What happens",
)

# %% [markdown]
# The outage lasts from minute 5 to minute 15. The window's rate turns after 3 seconds and is back a minute after the
# repair. The rate since the start hardly moves: its line, from 100 % down to 94.3 %, *is* the outage. Case closed,
# as far as the nine minutes go. The culprit is the denominator.
#
# Why not a window of two seconds, then? Here is a quiet service, two requests a second, of which one in a hundred
# fails anyway; from 400 s to 520 s a third of them fails. Find settings that notice within 15 seconds and never raise
# a false alarm. Which of the two sliders below the window was worth more?


# %%
def quiet_outcomes():
    """(instant, went well) of two requests a second; the second one of all fails, and a third of them in the outage."""
    draw = random.Random(4)
    found = [(t / 2, draw.random() >= (0.33 if 400 <= t / 2 < 520 else 0.01)) for t in range(1, 1800)]
    return [found[0], (1.0, False), *found[2:]]


def quiet_service(window=300, min_samples=1, limit=5):
    """What a check with these settings says of each second."""
    outcomes, verdicts, shares = quiet_outcomes(), [], []
    for second in range(900):
        seen = [well for _, well in outcomes[max(0, 2 * (second - window)) : 2 * second]]
        share = seen.count(False) / max(1, len(seen))
        verdicts.append(len(seen) < min_samples or share <= limit / 100)
        shares.append((second, 100 * share))
    return verdict_picture(verdicts, shares, window)


# %% cover="true"
def verdict_picture(verdicts, shares, window):
    """Ribbons of the truth and of the check, with the false alarms counted in the title."""
    checked = ribbon("the check", numpy.array(verdicts))
    alarms = [one.start for one in checked if one.tenant == "not ready"]
    false = sum(not 400 <= at <= 520 + window for at in alarms)
    noticed = [at - 400 for at in alarms if 400 <= at <= 520]
    found = f"noticed after {noticed[0]} s" if noticed else "not noticed"
    parts = [("answers", 0, 400), ("fails", 400, 520), ("answers", 520, 900)]
    truth = [Interval("the service", *one) for one in parts]
    return slots(
        [*truth, *checked],
        title=f"{found}; false alarms: {false}",
        order=["the service", "the check"],
        tenants=COLORS,
        steps={"failed, %": shares},
    )


explore(
    quiet_service,
    alt="A service of two requests a second with an outage in the middle, and a check's verdict over it.",
    labels={"window": "window, s", "min_samples": "requests needed", "limit": "limit, %"},
    window=(10, 300, 10),
    min_samples=(1, 60),
    limit=(1, 30),
)

# %% [markdown]
# A short window notices soon and believes little: at two requests a second ten seconds are twenty requests, and one
# failure among them is 5 %. So a verdict needs a *smallest number of requests* (`min_samples`). With fewer there is
# nothing to say, and a service of which one can say nothing bad is ready.
#
# ## Second finding: the mean is nobody
# The lecture's check has a second limit, an average latency below one second. One thing changes: requests don't
# fail any more, some are slow.

# %%
estimate(
    "980 requests take 10 ms, 20 take 5 s. What is their mean, in milliseconds?",
    lambda: statistics.mean([10] * 980 + [5000] * 20),
    unit="ms",
    why="Well below any limit, although one user in fifty waits for five seconds, and nobody at all waits 110 ms.",
)

# %% [markdown]
# Where do the mean and p99 lie among the requests? The axis is logarithmic, or one half of the picture would be
# empty.

# %%
draw_minute = random.Random(6)
one_minute = [draw_minute.lognormvariate(math.log(0.010), 0.3) for _ in range(980)]
one_minute += [draw_minute.lognormvariate(math.log(5.0), 0.15) for _ in range(20)]
in_order = sorted(one_minute)

fig, ax = axes("A thousand requests of one minute", "latency, s (logarithmic)", "requests")
ax.hist(one_minute, bins=numpy.geomspace(0.003, 12, 60), color="#56B4E9")
ax.set_xscale("log")
for name, value, color, style in (
    ("mean", statistics.mean(one_minute), "#D55E00", "--"),
    ("p99", in_order[989], "#0072B2", "-"),
    ("limit", 1.0, "#000000", ":"),
):
    ax.axvline(value, color=color, linestyle=style, label=f"{name} {value:.2g} s")
ax.legend(loc="upper center")
show(fig, alt="A tall hill at 10 ms, a flat one at 5 s; the mean stands between them at 0.1 s, p99 in the flat hill.")

# %% [markdown]
# The lecture's check on two worse minutes. Both are called healthy:

# %%
for share_slow, slow_ms in ((0.01, 60_000), (0.05, 15_000)):
    minute = LectureServiceMetrics()
    for number in range(1000):
        minute.record_request(slow_ms if number < 1000 * share_slow else 10, success=True)
    print(f"{share_slow:.0%} take {slow_ms / 1000:.0f} s:", *lecture_health_check(minute))

# %% [markdown]
# A **percentile** can't be talked round like that: p99 is a place in the sorted latencies, the one that 99 of 100
# stay below. The other 98 may be as quick as they like. Why not the maximum? Because of a thousand requests one is
# always unlucky, and a service shouldn't be sent home for it.
#
# ## Third finding: the check keeps a healed service out
# So far somebody read the verdict. Now a load balancer reads it, every five seconds, and sends two requests a second
# as long as it is 200. The backend is away from 30 s to 60 s. Three services stand side by side: one asks the
# lecture's check, one has a window but throws old requests away only when a *new one* is recorded, one has the window
# from the top of this page.


# %%
class ForgetsWhenRecording(RecentFailures):
    """Old requests go when a new one comes; who asks sees what is left."""

    def add(self, went_well):
        super().add(went_well)
        oldest = asyncio.get_running_loop().time() - self.seconds
        self.seen = [one for one in self.seen if one[0] > oldest]

    def share(self):
        return [well for _, well in self.seen].count(False) / max(1, len(self.seen))


class SinceTheStart(LectureServiceMetrics):
    """The lecture's metrics, asked the same way."""

    def add(self, went_well):
        self.record_request(10, went_well)

    def share(self):
        return 1 - self.success_rate()


# %%
async def balanced(name, backend, health, seconds):
    """Ask the check every five seconds; while it says ready, send two requests a second."""
    ready = None
    for turn in range(2 * seconds):
        if turn % 10 == 0 and ready != (verdict := health.share() <= 0.05):
            ready = verdict
            mark("state", "ready" if ready else "not ready", lane=name)
        if ready:
            try:
                await backend.for_lane(name)()
                health.add(True)
            except ConnectionError:
                health.add(False)
        await asyncio.sleep((turn + 1) / 2 - asyncio.get_running_loop().time())


async def three_services(backend, seconds=180):
    kinds = {"since the start": SinceTheStart, "when recording": ForgetsWhenRecording, "when asked": RecentFailures}
    async with asyncio.TaskGroup() as group:
        for name, kind in kinds.items():
            group.create_task(balanced(name, backend, kind(), seconds), name=name)


def repaired_after_a_minute():
    world = World(seed=1)
    backend = world.service("backend", latency=0.02)
    world.outage("backend", 30, 60)
    return simulate(three_services(backend), world=world)


# %%
def comes_back():
    """What becomes of the second service, the one that forgets when recording."""
    calls = repaired_after_a_minute().timeline.calls(lane="when recording")
    later = [call.start for call in calls if call.start > 60]
    return "never" if not later else "at once" if later[0] < 70 else "after the window"


predict(
    "The window is 60 s, and old requests are thrown away when a new one is recorded. The backend is back at 60 s. "
    "When does this service get traffic again?",
    {
        "within ten seconds: the next request works": "at once",
        "when the failures are 60 s old": "after the window",
        "never": "never",
    },
    comes_back,
    why="Not ready means no traffic, no traffic means nothing is recorded, and nothing recorded means nothing is "
    "forgotten. The check keeps alive the very thing that it reports.",
)

# %%
show(
    raster(
        repaired_after_a_minute().timeline,
        title="Three health checks behind a load balancer",
        state="state",
        states={"ready": "ok", "not ready": "failed"},
        height=60,
        bin=5,
    ),
    fold="What happens",
)

# %% [markdown]
# Only the third one comes back. Its window runs empty while nobody calls; an empty window says nothing, so it is
# ready and gets traffic, and that traffic finds out. (If the backend were still away, the next check would turn it
# out again: a try each minute, like a circuit breaker's probe.) So the window slides *whenever somebody looks*, not
# only when something comes.
#
# ## Two questions, not one
# "Are you healthy?" is asked by two different neighbours, and they do different things with a No:
#
# | | asks | after a No |
# |---|---|---|
# | **liveness**, `/livez` | whoever can restart the process | kills it |
# | **readiness**, `/readyz` | the load balancer | sends the traffic elsewhere |
#
# | what is wrong | `/livez` | `/readyz` |
# |---|---|---|
# | the database is away | 200: a restart won't bring it back | 503 |
# | one request in fifty takes 5 s | 200 | 503 |
# | the process leaves and finishes its last requests | 200: don't kill it now | 503 |
# | the event loop is stuck in an endless loop | no answer at all, which is a No | no answer |
#
# What if one check answers both? Twenty processes ask their database in `/livez`, and the database is away for ten
# minutes. Kubernetes asks every 10 s and kills after 3 failures in a row (its defaults for `periodSeconds` and
# `failureThreshold`); starting again takes 20 s.


# %%
def restarts(processes=20, outage=600, every=10, failures=3, starting=20):
    """How often processes are killed whose liveness depends on something that is away."""
    killed, now = 0, 0
    while now + every * failures <= outage:
        now += every * failures
        killed += processes
        now += starting
    return killed


estimate(
    "How many processes are killed in these ten minutes?",
    restarts,
    why="3 × 10 s until the kill and 20 s to start make rounds of 50 s: twelve of them, with all twenty processes in "
    "each. None was sick. Each came back with cold caches and empty connection pools, and asked for the database at "
    "the same moment as the others.",
)

# %% [markdown]
# ## asyncio you need
# **1. What is the time?** `asyncio.get_running_loop().time()`: seconds that only ever grow. `datetime.now()` is a
# date, and may jump. Inside a run the loop's clock is the virtual one.
#
# **2. An ASGI app is one coroutine function with three arguments.** The server calls it once for each request:
#
# * `scope`, a dict: what is known already (`scope["path"]`, `scope["method"]`, headers)
# * `receive`, a coroutine function: `await receive()` gives the next piece of the request's body
# * `send`, a coroutine function: `await send(...)` takes the answer in two messages, first the status, then the body
#
# That is all there is; Starlette and FastAPI are built on it. Here is an app, and what a server does for one GET:


# %%
async def hello_app(scope, receive, send):
    await receive()
    await asyncio.sleep(0.03)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await asyncio.sleep(0.03)
    await send({"type": "http.response.body", "body": b"You asked for " + scope["path"].encode()})


async def get_by_hand(asgi_app, path):
    """GET a path of an ASGI app, without a server: the status and the body."""
    answer = []

    async def receive_one():
        mark("gives the request", lane="server")
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send_one(message):
        mark(f"takes {message['type'].removeprefix('http.response.')}", lane="server")
        answer.append(message)

    await asgi_app({"type": "http", "method": "GET", "path": path, "headers": []}, receive_one, send_one)
    return answer[0]["status"], answer[1]["body"].decode()


# %%
async def one_get():
    return await asyncio.create_task(get_by_hand(hello_app, "/livez"), name="app")


run_of_get = simulate(one_get())
show(run_of_get.timeline, title="One GET: the app sleeps in between, so that one can see the order", order=["app"])
print(*run_of_get.value)

# %% [markdown]
# ## Warm-ups
# **A percentile by hand.** Of `n` sorted latencies the 95th percentile is the one in place `ceil(0.95 * n)`, counted
# from one. (There are other definitions; they differ by a place or less.)

# %%
twenty = [12, 9, 11, 480, 10, 14, 8, 13, 10, 11, 9, 12, 300, 10, 11, 9, 13, 12, 10, 11]

estimate(
    f"Twenty latencies in milliseconds: {', '.join(map(str, twenty))}. What is p95?",
    lambda: sorted(twenty)[math.ceil(0.95 * len(twenty)) - 1],
    unit="ms",
    tolerance=0.01,
    why="Place 19 of 20 in the sorted list. In the order of arrival place 19 is 10 ms: forgetting to sort is the "
    "mistake that no error message tells you of.",
)

# %% [markdown]
# **ASGI with gaps.** `/tea` is a 418 with the body `short and stout`, any other path is a 404 with the body `no`.
# Fill in the four gaps (`...`), run the cell, and then the one below it.


# %%
async def tea_app(scope, receive, send):
    brewing = ... == "/tea"
    await send({"type": ..., "status": 418 if brewing else 404, "headers": []})
    await send({"type": ..., "body": ...})


# %%
def tea_trial():
    for path, right in (("/tea", (418, "short and stout")), ("/coffee", (404, "no"))):
        kinds = []

        async def collect(message, kinds=kinds):
            kinds.append(message)

        simulate(tea_app({"type": "http", "path": path}, None, collect))
        if [message["type"] for message in kinds] != ["http.response.start", "http.response.body"]:
            return f"the messages of {path} are of type {', '.join(str(message['type']) for message in kinds)}"
        if (kinds[0]["status"], kinds[1]["body"]) != (right[0], right[1].encode()):
            return f"GET {path} gives {kinds[0]['status']} and {kinds[1]['body']!r}"
    return ""


_ = mended(tea_trial, hint="The path is in `scope`; a message says in `type` what it is; a body is bytes: `b'no'`.")

# %% [markdown]
# **Whose ribbon is it?** A window of 60 s. At 10 s fifteen of forty-five requests fail, and after that nobody calls.
# Asked at 40 s, at 65 s and at 75 s, a check says not ready, *ready*, ready. What is its mistake?


# %%
def whose_ribbon():
    """Three windows over the same burst at 10 s, asked three times."""

    def slides(now):
        return now - 10 < 60

    def tumbles(now):
        return now // 60 == 10 // 60

    def never_forgets(now):
        return True

    seen = [True, False, False]  # whether it still sees the burst at 40, 65 and 75 s
    kinds = {"slides": slides, "tumbles": tumbles, "never": never_forgets}
    return next(name for name, sees in kinds.items() if [sees(now) for now in (40, 65, 75)] == seen)


predict(
    "Not ready at 40 s, ready at 65 s, ready at 75 s: what is in this check?",
    {
        "a sliding window, and that is right": "slides",
        "a window that is emptied at every full minute": "tumbles",
        "a window that never forgets without traffic": "never",
    },
    whose_ribbon,
    why="At 65 s the failures are 55 s old, so a sliding window still has them. A window that is emptied at every "
    "full minute hides whatever happens just before.",
)

# %% [markdown] lecture="Exercise 3: Health Monitoring"
# ## Exercise: a health monitor
#
# ```python
# class HealthMonitor:
#     def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0)
#     def record(self, latency: float, ok: bool) -> None      # a request is over: seconds, went well
#     def snapshot(self) -> dict                              # count, error_rate, p50, p95, p99
#     def ready(self) -> bool
#     def begin_drain(self) -> None
#
# def make_app(monitor)                                       # an ASGI app
# ```
#
# **Window.** Everything is about the last `window` seconds, and slides also when nothing comes. `count` is the number
# of requests, `error_rate` a share (0.05), percentiles are in seconds and in any definition in common use; of an
# empty window they are `None` or 0. A monitor that never saw a request is ready.
#
# **Readiness.** Fewer than `min_samples` requests in the window: ready. Else ready if, and only if, the error rate is
# at most `max_error_rate` and p99 at most `max_p99`.
#
# **Endpoints.** `/livez` answers 200, always. `/readyz` answers 200 or 503; its body is JSON, with `ready` and all
# that `snapshot()` has. After `begin_drain()` the monitor is not ready, for good. `/metrics` is a page in Prometheus'
# text format with `requests_total{outcome="ok"}` and `requests_total{outcome="error"}`, which count from the
# monitor's creation and never go down. Any other path is a 404.
#
# Time is the loop's. A request takes no time to record. The app gets `http` scopes only, and no lifespan events. Bare
# ASGI and Starlette are both fine. A window may also move in steps, of up to five seconds. One thing about counters: a
# name can be registered only once in a registry, and there may be more than one monitor, so give each its own:
#
# ```python
# registry = CollectorRegistry()
# requests = Counter("requests", "Requests so far.", ["outcome"], registry=registry)  # requests_total
# requests.labels("ok").inc()
# generate_latest(registry)                                                        # the page, as bytes
# ```
#
# These are the three steps: `check("health", step=1)` judges the first alone.


# %% exercise="health"
class HealthMonitor:
    """Healthy *now*: error rate and percentiles of the last `window` seconds."""

    def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0):
        ### BEGIN SOLUTION
        self.window, self.min_samples = window, min_samples
        self.max_error_rate, self.max_p99 = max_error_rate, max_p99
        self.draining = False
        self.registry = CollectorRegistry()
        self._requests = Counter("requests", "Requests since the start.", ["outcome"], registry=self.registry)
        self._recent = deque()
        ### END SOLUTION

    def record(self, latency: float, ok: bool) -> None:
        """One more request is over: it took `latency` seconds and went well or not."""
        ### BEGIN SOLUTION
        self._requests.labels("ok" if ok else "error").inc()
        self._recent.append((asyncio.get_running_loop().time(), latency, ok))
        self._forget()
        ### END SOLUTION

    def snapshot(self) -> dict:
        """count, error_rate, p50, p95, p99 of the window."""
        ### BEGIN SOLUTION
        self._forget()
        count = len(self._recent)
        latencies = sorted(latency for _, latency, _ in self._recent)
        failed = sum(not ok for _, _, ok in self._recent)
        numbers = {"count": count, "error_rate": failed / count if count else 0.0}
        for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99)):
            numbers[name] = latencies[int(share * count)] if count else None
        return numbers
        ### END SOLUTION

    def ready(self) -> bool:
        """Whether this service should get traffic now."""
        ### BEGIN SOLUTION
        if self.draining:
            return False
        seen = self.snapshot()
        if seen["count"] < self.min_samples:
            return True
        return seen["error_rate"] <= self.max_error_rate and seen["p99"] <= self.max_p99
        ### END SOLUTION

    def begin_drain(self) -> None:
        """Not ready from now on, whatever the numbers say."""
        ### BEGIN SOLUTION
        self.draining = True

    def _forget(self):
        oldest = asyncio.get_running_loop().time() - self.window
        while self._recent and self._recent[0][0] <= oldest:
            self._recent.popleft()
        ### END SOLUTION


def make_app(monitor):
    """An ASGI app: GET /livez, /readyz and /metrics; anything else is a 404."""
    ### BEGIN SOLUTION

    async def app(scope, receive, send):
        path, kind = scope["path"], b"application/json"
        status, body = 200, b"{}"
        if path == "/readyz":
            ready = monitor.ready()
            status = 200 if ready else 503
            body = json.dumps({"ready": ready, **monitor.snapshot()}).encode()
        elif path == "/metrics":
            kind, body = b"text/plain; version=0.0.4", generate_latest(monitor.registry)
        elif path != "/livez":
            status = 404
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body})

    return app
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Keep the requests themselves, each as `(instant, latency, ok)`, in a `deque`: new ones at the right end. A small
# method that throws away what is older than the window at the left end is called by `record` *and* by `snapshot`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `ready` is a ladder: draining? no. Too few? yes. Else the two limits, both read from one `snapshot()`. A percentile
# is `sorted(latencies)[int(share * count)]`. The app is one `async def app(scope, receive, send)`
# inside `make_app` that picks a status and a body by `scope["path"]`, and then sends two messages.
#
# </details>
#
# <details><summary>Hint 3: the lines of snapshot and of forgetting, shuffled</summary>
#
# ```python
# failed = sum(not ok for _, _, ok in self._recent)
#     self._recent.popleft()
# numbers = {"count": count, "error_rate": failed / count if count else 0.0}
# oldest = asyncio.get_running_loop().time() - self.window
# latencies = sorted(latency for _, latency, _ in self._recent)
# return numbers
# while self._recent and self._recent[0][0] <= oldest:
# count = len(self._recent)
#     numbers[name] = latencies[int(share * count)] if count else None
# for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99)):
# ```
#
# </details>
#
# ## Afterwards
# <details><summary>Code review: what else is wrong in the listing</summary>
#
# * One failure of one request is a success rate of 0 %: a service that has just started is sent home by its first
#   unlucky request. There is no smallest number.
# * A request that an open circuit breaker refuses counts as a failure that took 0 ms. The worse things go, the better
#   the average gets. Count refusals apart, or leave their latency out.
# * A user who asks for something that doesn't exist counts as a failure of the service. Count what *you* did wrong.
# * One endpoint serves liveness and readiness.
# * The numbers in the body are the totals' quotients. Whoever collects them can't compute a rate over five minutes
#   from them; from two counters, read twice, one can.
# * A verdict that flips at one limit flaps when the rate is close to it. In production the balancer's own rule (so
#   many failures in a row) takes care of that.
#
# </details>
#
# ## What practitioners use
# **prometheus-client** keeps the counters and prints the page; **Starlette** has the routes; **uvicorn** serves them.
# Percentiles are rarely computed in the process: a histogram counts how many requests stayed below each of a few
# limits, and the monitoring system computes p99 over all processes from these counts. Averages of percentiles mean
# nothing; sums of counts do.
#
# First, why the exercise insisted on a registry of one's own. The library's default registry is one for the whole
# process:

# %%
try:
    for _ in range(2):
        Counter("orders", "Orders so far.")
except ValueError as error:
    print(type(error).__name__, error)

# %% [markdown]
# Now the real thing: a histogram, Starlette's routes, and the library's own page mounted at `/metrics`.

# %%
from prometheus_client import Histogram, make_asgi_app

house_registry = CollectorRegistry()
house_latency = Histogram(
    "request_seconds", "Latency.", ["outcome"], registry=house_registry, buckets=(0.05, 0.1, 0.5, 1, 5)
)


async def house_livez(request):
    return JSONResponse({})


async def house_work(request):
    with house_latency.labels("ok").time():
        await asyncio.sleep(0.06 if "slow" in request.query_params else 0.001)
    return JSONResponse({"done": True})


house_app = Starlette(
    routes=[
        Route("/livez", house_livez),
        Route("/work", house_work),
        Mount("/metrics", make_asgi_app(house_registry)),
    ]
)

# %% [markdown]
# And this cell is no simulation: a server on a free port of this machine, a client, real milliseconds.


# %%
async def over_a_socket(asgi_app, paths):
    """Serve an ASGI app on a loopback port and GET these paths from it."""
    server = uvicorn.Server(uvicorn.Config(asgi_app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as client:
        answers = [await client.get(path) for path in paths]
    server.should_exit = True
    await serving
    return answers


answers = (await live(over_a_socket(house_app, ["/livez", "/work", "/work", "/work?slow=1", "/metrics"]))).value
print(*(answer.status_code for answer in answers))
print(*(line for line in answers[-1].text.splitlines() if "bucket" in line), sep="\n")

# %% [markdown]
# Three requests: two below 50 ms, all below 100 ms. The counts are cumulative, each bucket holds the ones below it
# too. Once your own app passes, look at it the same way, in a new cell:
# `monitor = HealthMonitor()` and then `(await over_a_socket(make_app(monitor), ["/readyz", "/metrics"]))[0].json()`.
# The real clock is then the loop's too.
#
# ## Questions
# <details><summary>Is it liveness or readiness: the database is down; a coroutine computes for ever; the process
# drains?</summary>
#
# Readiness; liveness (nobody else will end it); readiness.
#
# </details>
#
# <details><summary>Why does a service with an empty window answer "ready", and not "I don't know"?</summary>
#
# The load balancer understands two words. With "not ready" a fresh service would never get its first request, and a
# healed one never its next. "Ready" costs at most `min_samples` bad answers.
#
# </details>
#
# <details><summary>All twenty processes share one database, and it goes away. All say 503 at the same moment. What
# does the load balancer do?</summary>
#
# It has nobody left. Many balancers then send traffic to everybody ("panic mode" in Envoy), because an answer from a
# sick service beats none. Some teams therefore keep shared dependencies out of readiness altogether, and let the
# requests fail quickly. There is no answer that is right everywhere; there is one that you have thought about.
#
# </details>
#
# One page needs answers from 100 services, and each of them takes a second or more for one request in a hundred.

# %%
estimate(
    "What share of the pages takes a second or more, in per cent?",
    lambda: 100 * (1 - 0.99**100),
    unit="%",
    why="1 - 0.99^100: two pages of three (Dean and Barroso, The Tail at Scale, 2013). The tail of a part is the "
    "everyday life of the whole.",
)

# %% [markdown]
# <details><summary>For Rust readers</summary>
#
# * The lecture's counters are four separate atomics with `Ordering::Relaxed`. Each is exact, but a reader can see a
#   total that already counts a request whose success isn't there yet. In asyncio there is no such moment: between two
#   awaits nobody else runs.
# * A window can't be built from four atomics. In Rust one would take a `Mutex<VecDeque<(Instant, Duration, bool)>>`,
#   held for nanoseconds and never across an `.await`, or a ring of atomic slots.
# * `as_millis()` cuts off: a request of 0.9 ms counts as 0. Keep a `Duration`, and convert when you print.
# * `State<Arc<ServiceMetrics>>` in a router whose state is `AppState` doesn't compile without `FromRef`.
# * `Instant` is the loop's `time()`; `SystemTime` is `datetime.now()`, with the same trap.
# * A tower service is what an ASGI app is: one async function from a request to a response, wrapped in layers.
#
# </details>
