# %% [markdown] lecture="Health Checks and Monitoring"
# # Health
#
# *Am I healthy **now**?* A service is asked this every few seconds, and its answer decides whether it gets
# traffic. Reading and trying things out takes about 30 minutes, the exercise 75.

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
from faultlab import COLORS, World, axes, live, mark, show, simulate
from faultlab.explore import explore
from faultlab.notebook import start
from faultlab.raster import Interval, slots
from faultlab.warmup import estimate, mended, predict

start()

# %%
import asyncio
import json
from collections import deque

from prometheus_client import CollectorRegistry, Counter, generate_latest

# %% [markdown]
# ## The case
# A small service has a database behind it. Afterwards, the people on call wrote down what happened:
#
# | clock | what happened |
# |---|---|
# | 10:00:00 | the database goes away; from now on *every* request fails |
# | 10:08:47 | the health check says 503 for the first time, and the pager rings |
# | 10:10:00 | the database is back, and every request works again |
# | 10:33:20 | the health check says 200 again |
#
# The people on call were awake, no alarm was switched off, and the check was asked every second. For almost nine
# minutes the check called a service healthy that answered no request at all. Then, for 23 minutes, it called a working
# service sick. We also know two more things: the service gets 100 requests a second, and it had run without a failure
# since 07:13:20. That is enough to find the culprit.
#
# ## The idea
# **Judge the last minute, not the whole life, and let time alone be enough to forget.** In a few lines:


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
# Two requests fail, and nothing else ever happens. Here is the share of failures right away, and a minute later. (The
# clock of a run is virtual, so the minute costs nothing.)


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
# The service of that morning had a check like the lecture's: four numbers that only grow, a success rate, an average
# and a verdict.


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
# The verdict is an HTTP answer: 200 or 503, with its reasons as JSON. A machine reads the status, a person reads the
# body.


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
# The check does what it was written for. A young service has answered a hundred requests, and two of them failed. Then
# five more fail:

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
# One thing changes: the service isn't young. It has answered a million requests well, and now every request fails.


# %%
def minutes_unseen(good, a_second=100):
    """Minutes in which every request fails before the lecture's check, asked every second, says 503."""
    old = LectureServiceMetrics()
    old.total_requests = old.successful_requests = good
    seconds = 0
    while lecture_health_check(old)[0] == 200:
        for _ in range(a_second):
            old.record_request(latency_ms=10, success=False)
        seconds += 1
    return seconds / 60


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "After a million good requests every request fails, 100 a second. After how many minutes does the check say 503?",
    lambda: minutes_unseen(1_000_000),
    unit="minutes",
    tolerance=0.1,
    why="The rate must fall to 95 %, so there must be one failure for every 19 successes: 52,632 for a million. "
    "For 8.8 minutes no request is answered: that is the gap in the log.",
)

# %% [markdown]
# The better the past, the longer the check is blind. Afterwards the failures weigh just as long, because each failure
# needs 19 successes:

# %%
for hours in (1, 24, 24 * 30):
    good = hours * 3600 * 100
    print(f"{hours:4} h without a failure: blind for {(good / 0.95 - good) / 100 / 60:8.1f} minutes")

failed = 10 * 60 * 100
print(f"no past at all, and an outage of 10 minutes: green again after {19 * failed / 100 / 3600:.1f} hours")

# %% [markdown]
# Here is the same morning, second by second, as three signals see it. They are the failures since the start, the
# failures of the last 60 seconds, and p99 of the last 60 seconds. (p99 is the latency that 99 of 100 requests stay
# below. Failing requests take 2 s here, because they wait for a database that isn't there.) **When does each signal
# turn to "not ready", and when back?** Decide before you open the picture.


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def morning(good=10_000, outage=600, after=1_900, window=60):
    """The success rates, and p99 in seconds, for each second from 5 minutes before the outage."""
    worked = numpy.ones(good + outage + after)
    worked[good : good + outage] = 0
    sums = numpy.concatenate([[0], numpy.cumsum(worked)])
    ends = numpy.arange(good - 300, len(worked)) + 1
    since_start = sums[ends] / ends
    recent = (sums[ends] - sums[ends - window]) / window
    return since_start, recent, numpy.where(recent < 0.99, 2.0, 0.01)


def ribbon(name, verdicts):
    """Draw a verdict for each second as a lane of "ready" and "not ready"."""
    turns = [0, *(numpy.flatnonzero(numpy.diff(verdicts)) + 1).tolist(), len(verdicts)]
    word = ("not ready", "ready")
    return [Interval(name, word[int(verdicts[begin])], begin, end) for begin, end in pairwise(turns)]


LOOK = {"ready": "ok", "not ready": "failed", "answers": "ok", "is down": "world"}

# %% tags=["plumbing"] jupyter={"source_hidden": true}
since_start, recent, slowest = morning()
parts = [("answers", 0, 300), ("is down", 300, 900), ("answers", 900, 2800)]
truth = [Interval("the database", *one) for one in parts]
lanes_of_three = [
    *ribbon("since the start", since_start > 0.95),
    *ribbon("last 60 s", recent > 0.95),
    *ribbon("p99, last 60 s", slowest < 1.0),
]
show(
    slots(
        [*truth, *lanes_of_three],
        title="One outage, three signals: when does each one turn?",
        order=["the database", "since the start", "last 60 s", "p99, last 60 s"],
        tenants=LOOK,
        steps={
            "failed %, all time": list(enumerate((100 - 100 * since_start).round(1).tolist())),
            "failed %, last 60 s": list(enumerate((100 - 100 * recent).tolist())),
        },
    ),
    fold="What happens",
)

# %% [markdown]
# <details><summary>Which denominator did it</summary>
#
# The outage lasts from minute 5 to minute 15. The window's rate turns after 3 seconds and is back a minute after the
# repair. The rate since the start hardly moves: it goes from 0 to 5.7 %, and its limit is 5 %. That line *is* the
# outage. So the nine minutes are solved. The culprit is the denominator, the requests of a whole life.
# </details>
#
# Why not use a window of two seconds, then? Here is a quiet service with two requests a second. One request in a
# hundred fails anyway, and from 400 s to 520 s a third of them fail. Find settings that notice the trouble within 15
# seconds and never raise a false alarm. Which of the two sliders below the window was worth more?


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def quiet_outcomes():
    """(instant, went well) for two requests a second: the second of all fails, and a third of those in the trouble."""
    draw = random.Random(4)
    found = [(t / 2, draw.random() >= (0.33 if 400 <= t / 2 < 520 else 0.01)) for t in range(1, 1800)]
    return [found[0], (1.0, False), *found[2:]]


def quiet_service(window=300, min_samples=1, limit=5):
    """Draw what a check with these settings says at each second."""
    outcomes, verdicts, shares = quiet_outcomes(), [], []
    for second in range(900):
        seen = [well for _, well in outcomes[max(0, 2 * (second - window)) : 2 * second]]
        share = seen.count(False) / max(1, len(seen))
        verdicts.append(len(seen) < min_samples or share <= limit / 100)
        shares.append((second, 100 * share))
    return verdict_picture(verdicts, shares, window)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def verdict_picture(verdicts, shares, window):
    """Draw the service and the check as lanes; the title counts the false alarms."""
    checked = ribbon("the check", numpy.array(verdicts))
    alarms = [one.start for one in checked if one.tenant == "not ready"]
    false = sum(not 400 <= at <= 520 + window for at in alarms)
    noticed = [at - 400 for at in alarms if 400 <= at <= 520]
    found = f"noticed after {noticed[0]} s" if noticed else "not noticed"
    stages = [("answers", 0, 400), ("partial outage", 400, 520), ("answers", 520, 900)]
    truth = [Interval("the service", *one) for one in stages]
    return slots(
        [*truth, *checked],
        title=f"{found}; false alarms: {false}",
        order=["the service", "the check"],
        tenants=LOOK | {"partial outage": "world"},
        steps={"failed %, window": shares},
    )


# %%
explore(
    quiet_service,
    alt="A service of two requests a second with trouble in the middle, and below it a check's verdict.",
    labels={"window": "window, s", "min_samples": "requests needed", "limit": "limit, %"},
    window=(10, 300, 10),
    min_samples=(1, 60),
    limit=(1, 30),
)

# %% [markdown]
# <details><summary>What you should find</summary>
#
# A short window notices trouble soon, but it sees few requests. At two requests a second, ten seconds are twenty
# requests, and one failure among them is 5 %. So a verdict needs a *smallest number of requests* (`min_samples`). With
# too little evidence, the service counts as ready.
# </details>
#
# ## Second finding: the mean hides the slow requests
# The lecture's check has a second limit: the average latency must stay below one second. One thing changes: requests
# don't fail any more, but some are slow.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "980 requests take 10 ms, 20 take 5 s. What is their mean, in milliseconds?",
    lambda: statistics.mean([10] * 980 + [5000] * 20),
    unit="ms",
    why="The mean is far below the limit, although one user in fifty waits five seconds. No user at all waits 110 ms.",
)

# %% [markdown]
# **Where do the mean and p99 lie among the requests?** (The axis is logarithmic; otherwise half of the picture would be
# empty.)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
draw_minute = random.Random(6)
one_minute = [draw_minute.lognormvariate(math.log(0.010), 0.3) for _ in range(980)]
one_minute += [draw_minute.lognormvariate(math.log(5.0), 0.15) for _ in range(20)]
in_order = sorted(one_minute)

fig, ax = axes("A thousand requests: where are the mean and p99?", "latency, seconds (logarithmic)", "requests")
ax.hist(one_minute, bins=numpy.geomspace(0.003, 12, 60), color=COLORS["answered"])
ax.set_xscale("log")
for name, value, style in (
    ("mean", statistics.mean(one_minute), "--"),
    ("limit", 1.0, ":"),
    ("p99", in_order[989], "-"),
):
    ax.axvline(value, color=COLORS["ink"], linestyle=style)
    ax.text(value * 0.93, 180, f"{name}\n{value:.2g} s", ha="right", va="top", fontsize=10)
show(
    fig,
    alt="A tall hill at 10 ms, a flat one at 5 s; the mean stands between them at 0.1 s, p99 in the flat hill.",
    fold="What happens",
)

# %% [markdown]
# The lecture's check calls two worse minutes healthy too:

# %%
for share_slow, slow_ms in ((0.01, 60_000), (0.05, 15_000)):
    minute = LectureServiceMetrics()
    for number in range(1000):
        minute.record_request(slow_ms if number < 1000 * share_slow else 10, success=True)
    print(f"{share_slow:.0%} take {slow_ms / 1000:.0f} s:", *lecture_health_check(minute))

# %% [markdown]
# Quick requests can't hide slow ones from a **percentile**: p99 is a place in the sorted latencies, the latency that 99
# of 100 requests stay below. However quick the others are, p99 stays where it is. Why not take the maximum? Of a
# thousand requests one is always unlucky, and a service shouldn't lose its traffic for one request.
#
# ## Third finding: the morning's last minutes
# So far a person read the verdict. Now a load balancer reads it every five seconds, and sends two requests a second as
# long as the verdict is "ready". The backend is away from 30 s to 60 s. Three services stand side by side. The first
# asks the lecture's check. The second has a window, but throws old requests away only when a *new one* is recorded. The
# third has the window from the top of this page.


# %%
class ForgetsWhenRecording(RecentFailures):
    """Throws old requests away when a new one is recorded, and not when the share is asked for."""

    def add(self, went_well):
        super().add(went_well)
        oldest = asyncio.get_running_loop().time() - self.seconds
        self.seen = [one for one in self.seen if one[0] > oldest]

    def share(self):
        return [well for _, well in self.seen].count(False) / max(1, len(self.seen))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class SinceTheStart(LectureServiceMetrics):
    """The lecture's metrics, with the methods of `RecentFailures`."""

    def add(self, went_well):
        self.record_request(10, went_well)

    def share(self):
        return 1 - self.success_rate()


# %%
async def balanced(name, backend, health, seconds):
    """Ask the check every five seconds, and while it says ready, send two requests a second."""
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


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def three_services(backend, seconds=180):
    kinds = {
        "1 since the start": SinceTheStart,
        "2 when recording": ForgetsWhenRecording,
        "3 when asked": RecentFailures,
    }
    async with asyncio.TaskGroup() as group:
        for name, kind in kinds.items():
            group.create_task(balanced(name, backend, kind(), seconds), name=name)


def repaired_after_a_minute():
    world = World(seed=1)
    backend = world.service("backend", latency=0.02)
    world.outage("backend", 30, 60)
    return simulate(three_services(backend), world=world)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def comes_back():
    """When the second service, which forgets only when recording, gets traffic again."""
    calls = repaired_after_a_minute().timeline.calls(lane="2 when recording")
    later = [call.start for call in calls if call.start > 60]
    return "never" if not later else "at once" if later[0] < 70 else "after the window"


predict(
    "The second service has a window of 60 s and throws old requests away when a new one is recorded. The backend is "
    "back at 60 s. When does this service get traffic again?",
    {
        "within ten seconds: the next request works": "at once",
        "when the failures are 60 s old": "after the window",
        "never": "never",
    },
    comes_back,
    why="Not ready means no traffic. Without traffic no request is recorded, and without a record no request is "
    "forgotten. The check itself keeps the healed service out.",
)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def three_verdicts(timeline, seconds=180):
    """The verdicts of the three checks, and how many requests each service gets in five seconds."""
    lanes = list(dict.fromkeys(turn.lane for turn in timeline.marks("state")))
    verdicts, traffic = [], {}
    for lane in lanes:
        turns = [(turn.value, turn.at) for turn in timeline.marks("state", lane=lane)]
        for (word, at), (_, end) in pairwise([*turns, ("", seconds)]):
            verdicts.append(Interval(lane, word, at, end))
        starts = [call.start for call in timeline.calls(lane=lane)]
        traffic[f"to {lane[0]}: requests per 5 s"] = [
            (at, sum(at <= start < at + 5 for start in starts)) for at in range(0, seconds, 5)
        ]
    return slots(
        verdicts,
        title="The backend is back at 60 s: which services are, too?",
        order=lanes,
        tenants=LOOK,
        steps=traffic,
        timeline=timeline,
    )


# %%
show(three_verdicts(repaired_after_a_minute().timeline), fold="What happens")

# %% [markdown]
# <details><summary>What keeps the other two out</summary>
#
# Only the third service comes back. While it gets no requests, its window runs empty. An empty window is no evidence,
# so the service is ready and gets traffic, and the traffic shows whether the backend is back. (If the backend were
# still away, the next check would say "not ready" again: one try a minute, like a circuit breaker's probe.) So the
# window must slide *whenever the check is asked*, not only when a request is recorded.
# </details>
#
# ## Two questions, not one
# Two different neighbours ask "are you healthy?", and they do different things when the answer is No:
#
# | | asks | after a No |
# |---|---|---|
# | **liveness**, `/livez` | the supervisor, which can restart the process | kills the process |
# | **readiness**, `/readyz` | the load balancer | sends the traffic elsewhere |
#
# | what is wrong | `/livez` | `/readyz` |
# |---|---|---|
# | the database is away | 200: a restart won't bring it back | 503 |
# | one request in fifty takes 5 s | 200 | 503 |
# | the process shuts down and finishes its last requests | 200: don't kill it now | 503 |
# | the event loop is stuck in an endless loop | no answer at all, which is a No | no answer |
#
# What happens if one check answers both? Twenty processes ask their database in `/livez`, and the database is away for
# ten minutes. Kubernetes asks every 10 s and kills a process after 3 consecutive failures (its defaults for
# `periodSeconds` and `failureThreshold`). A process takes 20 s to start again.


# %%
def restarts(processes=20, outage=600, every=10, failures=3, starting=20):
    """How many processes are killed while their liveness depends on something that is away."""
    killed, now = 0, 0
    while now + every * failures <= outage:
        now += every * failures
        killed += processes
        now += starting
    return killed


# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "How many processes are killed in these ten minutes?",
    restarts,
    why="3 × 10 s until the kill and 20 s to start make rounds of 50 s. In each of the twelve rounds, all twenty "
    "processes are killed. No process was sick. Each one came back with cold caches and empty connection pools, and "
    "asked for the database at the same moment as the others.",
)

# %% [markdown]
# ## asyncio you need
# **An ASGI app is one coroutine function with three arguments.** The server calls it once for each request:
#
# * `scope` is a dict with what is known already: `scope["path"]`, `scope["method"]`, the headers.
# * `receive` is a coroutine function: `await receive()` gives the next piece of the request's body.
# * `send` is a coroutine function: `await send(...)` takes the answer in two messages, first the status, then the body.
#
# Starlette and FastAPI are built on just this. Here is an app, and what a server does for one GET. **When does the
# server learn the status?**


# %%
async def hello_app(scope, receive, send):
    await receive()
    await asyncio.sleep(0.03)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await asyncio.sleep(0.03)
    await send({"type": "http.response.body", "body": b"You asked for " + scope["path"].encode()})


async def get_by_hand(asgi_app, path):
    """GET a path of an ASGI app without a server; return the status and the body."""
    answer = []

    async def receive_one():
        mark("gives the request", lane="server")
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send_one(message):
        mark(f"takes {message['type'].removeprefix('http.response.')}", lane="server")
        answer.append(message)

    await asgi_app({"type": "http", "method": "GET", "path": path, "headers": []}, receive_one, send_one)
    return answer[0]["status"], answer[1]["body"].decode()


# %% cover="true"
async def one_get():
    return await asyncio.create_task(get_by_hand(hello_app, "/livez"), name="app")


run_of_get = simulate(one_get())
show(run_of_get.timeline, title="One GET, and an app that sleeps twice: when does the server learn what?")
print(*run_of_get.value)

# %% [markdown]
# ## Warm-ups
# **A percentile by hand.** Of `n` sorted latencies, the 95th percentile is the one in place `ceil(0.95 * n)`, counted
# from one. (There are other definitions, which differ by a place or less.)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
twenty = [12, 9, 11, 480, 10, 14, 8, 13, 10, 11, 9, 12, 300, 10, 11, 9, 13, 12, 10, 11]

estimate(
    f"Twenty latencies in milliseconds: {', '.join(map(str, twenty))}. What is p95?",
    lambda: sorted(twenty)[math.ceil(0.95 * len(twenty)) - 1],
    unit="ms",
    tolerance=0.01,
    why="It is place 19 of 20 in the sorted list. In the order of arrival, place 19 is 10 ms: if you forget to sort, "
    "no error message tells you.",
)

# %% [markdown]
# **ASGI with gaps.** `/tea` is a 418 with the body `short and stout`; any other path is a 404 with the body `no`. Fill
# in the four gaps (`...`) and run the cell. Then run the folded cell below, which checks it.


# %%
async def tea_app(scope, receive, send):
    brewing = ... == "/tea"
    await send({"type": ..., "status": 418 if brewing else 404, "headers": []})
    await send({"type": ..., "body": ...})


# %% tags=["plumbing"] jupyter={"source_hidden": true}
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


_ = mended(tea_trial, hint="The path is in `scope`. A message says in `type` what it is. A body is bytes: `b'no'`.")

# %% [markdown]
# **Which check is it?** A check has a window of 60 s. At 10 s, fifteen of forty-five requests fail; after that no
# request comes. At 40 s, 65 s and 75 s the check says not ready, *ready*, ready. What is its mistake?


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def whose_ribbon():
    """Ask three windows three times about the same burst at 10 s."""

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
    "Not ready at 40 s, ready at 65 s, ready at 75 s: which window does this check have?",
    {
        "a sliding one, and that is right": "slides",
        "one that is emptied at every full minute": "tumbles",
        "one that never forgets without traffic": "never",
    },
    whose_ribbon,
    why="At 65 s the failures are 55 s old, so a sliding window still has them. A window that is emptied at every "
    "full minute forgets a burst just before it within seconds.",
)

# %% [markdown] lecture="Exercise 3: Health Monitoring"
# ## Exercise: a health monitor
#
# ```python
# class HealthMonitor:
#     def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0)
#     def record(self, latency: float, ok: bool) -> None      # a request is over: seconds, whether it went well
#     def snapshot(self) -> dict                              # count, error_rate, p50, p95, p99
#     def ready(self) -> bool
#     def begin_drain(self) -> None
#
# def make_app(monitor)                                       # an ASGI app
# ```
#
# **Window.** Every number is about the last `window` seconds. The window also slides when no request comes. `count` is
# the number of requests and `error_rate` is a share (0.05). Percentiles are in seconds, by any definition in common
# use; for an empty window they are `None` or 0. A monitor that never saw a request is ready.
#
# **Readiness.** With fewer than `min_samples` requests in the window, the monitor is ready. Otherwise it is ready if,
# and only if, the error rate is at most `max_error_rate` and p99 is at most `max_p99`.
#
# **Endpoints.** `/livez` always answers 200. `/readyz` answers 200 or 503; its body is JSON, with `ready` and
# everything that `snapshot()` has. After `begin_drain()` the monitor is never ready again. `/metrics` is a page in
# Prometheus' text format with `requests_total{outcome="ok"}` and `requests_total{outcome="error"}`. These counters
# start at 0 when the monitor is created and never go down. Any other path is a 404.
#
# Use the event loop's clock, `asyncio.get_running_loop().time()`: a date (`datetime.now()`) may jump. The tests call
# `record` when the request has finished. The app gets `http` scopes only, and no lifespan events; bare ASGI and
# Starlette are both fine. The window may also move in steps of up to five seconds. A registry takes each counter's name
# only once, and there may be several monitors, so give each monitor its own registry:
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
    """Judge the health *now*: error rate and percentiles of the last `window` seconds."""

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
        """Record a request that is over: it took `latency` seconds, and it went well or not."""
        ### BEGIN SOLUTION
        self._requests.labels("ok" if ok else "error").inc()
        self._recent.append((asyncio.get_running_loop().time(), latency, ok))
        self._forget()
        ### END SOLUTION

    def snapshot(self) -> dict:
        """Return count, error_rate, p50, p95 and p99 of the window."""
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
        """Return whether this service should get traffic now."""
        ### BEGIN SOLUTION
        if self.draining:
            return False
        seen = self.snapshot()
        if seen["count"] < self.min_samples:
            return True
        return seen["error_rate"] <= self.max_error_rate and seen["p99"] <= self.max_p99
        ### END SOLUTION

    def begin_drain(self) -> None:
        """Say "not ready" from now on, whatever the numbers are."""
        ### BEGIN SOLUTION
        self.draining = True

    def _forget(self):
        oldest = asyncio.get_running_loop().time() - self.window
        while self._recent and self._recent[0][0] <= oldest:
            self._recent.popleft()
        ### END SOLUTION


def make_app(monitor):
    """Return an ASGI app: GET /livez, /readyz and /metrics; anything else is a 404."""
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
# Keep the requests themselves, each as `(instant, latency, ok)`, in a `deque`, and append new ones at the right end.
# Write a small method that throws away, at the left end, what is older than the window. Call it in `record` *and* in
# `snapshot`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `ready` is a ladder. Draining? Not ready. Too few requests? Ready. Otherwise compare both limits with the same
# `snapshot()`. A percentile is `sorted(latencies)[int(share * count)]`. The app is one `async def app(scope, receive,
# send)` inside `make_app`: it picks a status and a body by `scope["path"]`, and then sends two messages.
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
# * One failure of one request is a success rate of 0 %. There is no smallest number of requests, so a service that has
#   just started loses its traffic after its first unlucky request.
# * A request that an open circuit breaker rejects counts as a failure that took 0 ms: the worse things go, the better
#   the average gets. Which recording is right depends on the signal. The success rate that users see counts a rejection
#   as a failure, because the user got no answer. Latencies leave rejections out: no work took 0 ms. Readiness leaves
#   them out too. Otherwise the service stays "not ready" as long as its own breaker rejects, although it could still
#   answer from a cache. The service in 09 records every rejection as a failure of 0 s, and in 11 you see what follows.
# * A request for something that doesn't exist counts as a failure of the service. Count only what *your* service did
#   wrong.
# * One endpoint serves liveness and readiness.
# * The numbers in the body are quotients of totals. A program that collects them can't compute a rate over the last
#   five minutes. From two counters, each read twice, it can.
# * A verdict that flips at one limit flaps when the rate is close to that limit. In production the balancer's own rule
#   (a number of consecutive failures) prevents this.
#
# </details>
#
# ## What practitioners use
# **prometheus-client** keeps the counters and prints the page, **Starlette** has the routes, and **uvicorn** serves
# them. Percentiles are rarely computed in the process. A histogram counts how many requests stayed below each of a few
# limits, and the monitoring system computes p99 over all processes from these counts. An average of percentiles means
# nothing; a sum of counts does.
#
# First, see why the exercise insists on a registry for each monitor. The library's default registry belongs to the
# whole process:

# %%
try:
    for _ in range(2):
        Counter("orders", "Orders so far.")
except ValueError as error:
    print(type(error).__name__, error)

# %% [markdown]
# Now the real thing: a histogram, Starlette's routes, and the library's own page at `/metrics`.

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
# The next cell isn't a simulation: it starts a server on a free port of this machine, and a client waits real
# milliseconds.


# %%
async def over_a_socket(asgi_app, paths):
    """Serve an ASGI app on a loopback port, GET these paths, and stop the server whatever happens."""
    server = uvicorn.Server(uvicorn.Config(asgi_app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", follow_redirects=True) as client:
            return [await client.get(path) for path in paths]
    finally:
        server.should_exit = True
        await serving


answers = (await live(over_a_socket(house_app, ["/livez", "/work", "/work", "/work?slow=1", "/metrics"]))).value
print(*(answer.status_code for answer in answers))
print(*(line for line in answers[-1].text.splitlines() if "bucket" in line), sep="\n")

# %% [markdown]
# Of three requests two took less than 50 ms, and all three less than 100 ms. The counts are cumulative: each bucket
# also holds the requests of the buckets below it. Once your own app passes, look at it the same way in a new cell:
# `monitor = HealthMonitor()`, and then `(await over_a_socket(make_app(monitor), ["/readyz", "/metrics"]))[0].json()`.
# There the event loop's clock is the real one.
#
# ## Questions
# <details><summary>Is it liveness or readiness: the database is down; a coroutine computes forever; the process
# drains?</summary>
#
# Readiness; liveness (nothing but a restart will end the coroutine); readiness.
#
# </details>
#
# <details><summary>Why does a service with an empty window answer "ready", and not "I don't know"?</summary>
#
# The load balancer understands only two words. With "not ready", a fresh service would never get its first request, and
# a healed one would never get its next. "Ready" costs at most `min_samples` bad answers.
#
# </details>
#
# <details><summary>All twenty processes share one database, and the database goes away. All say 503 at the same moment.
# What does the load balancer do?</summary>
#
# It has no ready process left. Some balancers then send traffic to every process (Envoy's "panic mode", AWS' "fail
# open"), because an answer from a sick service beats none. A Kubernetes Service doesn't: without a ready process it has
# no endpoints, and connections fail. Some teams therefore keep shared dependencies out of readiness altogether, and let
# the requests fail quickly. No answer is right everywhere, so decide before it happens.
#
# </details>
#
# One page needs answers from 100 services. Each service takes a second or more for one request in a hundred.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
estimate(
    "What share of the pages takes a second or more, in percent?",
    lambda: 100 * (1 - 0.99**100),
    unit="%",
    why="It is 1 - 0.99^100, two pages in three (Dean and Barroso, The Tail at Scale, 2013). What is rare for a part "
    "is common for the whole.",
)

# %% [markdown]
# <details><summary>For Rust readers</summary>
#
# * The lecture's counters are four separate atomics with `Ordering::Relaxed`. Each one is exact, but a reader can see a
#   total that already counts a request whose success isn't counted yet. In asyncio there is no such moment: between two
#   awaits no other task runs.
# * A window can't be built from four atomics. In Rust, use a `Mutex<VecDeque<(Instant, Duration, bool)>>`, held for
#   nanoseconds and never across an `.await`, or use a ring of atomic slots.
# * `as_millis()` truncates: a request of 0.9 ms counts as 0. Keep a `Duration`, and convert when you print.
# * `State<Arc<ServiceMetrics>>` in a router whose state is `AppState` doesn't compile without `FromRef`.
# * `Instant` corresponds to the loop's `time()`, and `SystemTime` to `datetime.now()`, with the same trap.
# * A tower service is what an ASGI app is: one async function from a request to a response, wrapped in layers.
#
# </details>
