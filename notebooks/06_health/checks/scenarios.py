"""Scenarios for a `HealthMonitor` and its app: requests that went well, failed or were slow, silence, questions.

Several monitors stand side by side, and each one follows a plan. Only the world knows the plans. It draws which monitor
gets which plan, and hands out each step when its time has come. So the only way to answer a question about a monitor is
to look at the latencies and outcomes that the monitor was told.
"""

import asyncio
import json
from contextlib import suppress
from itertools import groupby
from numbers import Real
from urllib.parse import urlsplit

from faultlab.scenario import scenario
from faultlab.world import ok

BATCH = 500
"""The most requests in one step."""


class Plan:
    """The steps for one monitor. Every batch begins and ends with a quick success, so its ends tell nothing."""

    def __init__(self, draw, options=None):
        self.draw = draw
        self.steps = [ok(["create", options or {}])]

    def step(self, *what):
        """Add this as the next step."""
        self.steps.append(ok(list(what)))
        return self

    def wait(self, seconds):
        """Let time pass."""
        return self.step("wait", seconds)

    def ask(self, *questions):
        """Ask the monitor (`ready()`, `snapshot()`) or its app (a path)."""
        return self.step("ask", list(questions))

    def requests(self, quick=2, slow=0, failed=0, takes=5.0, well=True):
        """Record quick successes, slow requests (`takes` s, successful if `well`) and quick failures, shuffled."""
        draw = self.draw
        fast, long = round(draw.uniform(0.008, 0.02), 4), round(takes * draw.uniform(0.9, 1.1), 4)
        inner = [[fast, True]] * (quick - 2) + [[long, well]] * slow + [[fast, False]] * failed
        draw.shuffle(inner)
        parts = ((quick + slow + failed, "requests"), (slow, "slow"), (failed, "failed"))
        words = ", ".join(f"{number} {word}" for number, word in parts if number)
        return self.told([[fast, True], *inner, [fast, True]], words)

    def told(self, requests, words):
        """Record these requests, [latency, ok] each, in this order; equal neighbours are one row with a count."""
        self.wait(self.draw.uniform(0.05, 0.25))
        for start in range(0, len(requests), BATCH):
            rows = [[*one, len(list(same))] for one, same in groupby(requests[start : start + BATCH])]
            self.step("record", rows, words if start + BATCH >= len(requests) else "")
        return self


def stage(world, plans):
    """Give each monitor one of the plans; the world draws which."""
    world.stream("places").shuffle(plans)
    steps = {f"monitor {number}": list(plan.steps) for number, plan in enumerate(plans, 1)}

    def script(call):
        left = steps[call.args[0]]
        return left.pop(0) if left else ok(["end"])

    world.service("traffic", script)
    return {"names": list(steps)}


async def drive(lab, names):
    """Do to each monitor what the world says, to all of them at the same time."""
    make_monitor = lab.answer("HealthMonitor")
    await lab.settle(*(asyncio.create_task(_attend(lab, make_monitor, name), name=name) for name in names))


async def _attend(lab, make_monitor, name):
    traffic = lab.service("traffic", name)
    app = doing = None
    try:
        while (step := await traffic(name))[0] != "end":
            what, *rest = step
            doing = what
            if what == "create":
                doing = "HealthMonitor(...)"
                monitor = make_monitor(**rest[0])
            elif what == "wait":
                await asyncio.sleep(rest[0])
            elif what == "record":
                if rest[1]:
                    lab.mark(rest[1], lane=name)
                for latency, well, times in rest[0]:
                    doing = f"record({latency}, {well})"
                    for _ in range(times):
                        monitor.record(latency, well)
            elif what == "drain":
                doing = "begin_drain()"
                monitor.begin_drain()
            else:
                for doing in rest[0]:
                    if doing.startswith("/") and app is None:
                        app = lab.answer("make_app")(monitor)
                        if not callable(app):
                            raise TypeError(f"make_app returned {app!r}, not an ASGI app")
                    lab.mark(doing, await _answer(monitor, app, doing), lane=name)
    except Exception as error:
        lab.mark("raised", {"doing": doing, **lab.describe(error)}, lane=name)


async def _answer(monitor, app, question):
    if question == "ready()":
        said = monitor.ready()
        return said if said is None else "yes" if said else "no"
    if question == "snapshot()":
        found = monitor.snapshot()
        return {str(key): _number(value) for key, value in found.items()} if isinstance(found, dict) else found
    return await _get(app, question)


def _number(value):
    """Turn any library's number into a plain one."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return value if isinstance(value, int) else float(value)


async def _get(app, path, follow=True):
    """GET a path of an ASGI app; return its status and what its body says."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"service.example"), (b"accept", b"*/*")],
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.2", 80),
        "state": {},
    }
    request = [{"type": "http.request", "body": b"", "more_body": False}]
    over = asyncio.Event()
    sent = []

    async def receive():
        if request:
            return request.pop()
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            over.set()

    await app(scope, receive, send)
    starts = [message for message in sent if message["type"] == "http.response.start"]
    status = starts[0]["status"] if starts else None
    if follow and status in (301, 302, 307, 308):
        # A mounted app lives at "/metrics/", and a scraper follows the redirect.
        headers = {bytes(key).lower(): bytes(value) for key, value in starts[0].get("headers", ())}
        return await _get(app, urlsplit(headers[b"location"].decode()).path, follow=False)
    parts = [message.get("body", b"") for message in sent if message["type"] == "http.response.body"]
    said = {"status": int(status) if isinstance(status, int) else status}
    if strange := [part for part in parts if not isinstance(part, bytes | bytearray | memoryview)]:
        return {**said, "unfit": f"its body is {type(strange[0]).__name__}, not bytes"}
    if sent and sent[0]["type"] != "http.response.start":
        return {**said, "unfit": "its body was sent before its status"}
    if not all(isinstance(part, bytes) for start in starts for pair in start.get("headers", ()) for part in pair):
        return {**said, "unfit": "its headers aren't pairs of bytes"}
    return {**said, **_said(b"".join(parts).decode(errors="replace"))}


def _said(text):
    counters = [line[:200] for line in text.splitlines() if line.startswith("requests_total")]
    if counters:
        return {"counters": counters[:20], "text": text[:80]}
    with suppress(ValueError):
        return {"json": json.loads(text, parse_constant=int)}  # NaN and Infinity aren't JSON: int raises a ValueError
    return {"text": text[:80]}


@scenario
def idle(world, silences):
    """Nothing happens for a while; then some monitors are asked at once, the others after thirty failures."""
    draw = world.stream("requests")
    plans = []
    for silence in silences:
        plans.append(Plan(draw).wait(silence).ask("ready()", "snapshot()"))
        plans.append(Plan(draw).wait(silence).requests(failed=30).ask("ready()", "snapshot()"))
    return stage(world, plans)


@scenario
def few(world, cases, before=0):
    """For each [few, enough, options]: batches of both sizes that nearly all fail, and `enough` good requests.

    Another `before` good requests came earlier than the window.
    """
    draw = world.stream("requests")
    plans = []
    for number, enough, options in cases:
        for quick, failed in ((2, number - 2), (2, enough - 2), (enough, 0)):
            plan = Plan(draw, options)
            if before:
                plan.requests(quick=before).wait(options.get("window", 60.0) + 8)
            plans.append(plan.requests(quick, 0, failed).ask("ready()"))
    return stage(world, plans)


@scenario
def failures(world, cases):
    """For each [total, failed, options]: `total` requests, of which `failed` fail quickly."""
    draw = world.stream("requests")
    plans = [
        Plan(draw, options).requests(quick=total - failed, failed=failed).ask("ready()", "snapshot()")
        for total, failed, options in cases
    ]
    return stage(world, plans)


@scenario
def slow(world, cases, questions=("ready()",)):
    """For each [total, slow, takes, options]: `slow` of `total` requests take about `takes` s, and all go well.

    With a fifth item, False, the slow requests fail."""
    draw = world.stream("requests")
    plans = [
        Plan(draw, options).requests(total - number, number, takes=takes, well=all(well)).ask(*questions)
        for total, number, takes, options, *well in cases
    ]
    return stage(world, plans)


@scenario
def orders(world, numbers, middle=0.05, spread=0.8):
    """Drawn latencies in four orders: as drawn, rising, falling, and the longest first. Each monitor is asked twice.

    Latencies in the order "drawn" are rounded, so that many are equal. One request in eight fails. Where latencies rise
    or fall, these are the slowest requests, which gave up; elsewhere they are the quickest, which were refused.
    """
    draw = world.stream("requests")
    plans = []
    for number in numbers:
        for order in ("drawn", "rising", "falling", "longest first"):
            digits = 2 if order == "drawn" else 5
            found = [round(middle * draw.lognormvariate(0, spread) + 0.006, digits) for _ in range(number)]
            limit = sorted(found, reverse=order in ("rising", "falling"))[number // 8]
            if order != "drawn":
                found.sort(reverse=order != "rising")
            if order == "longest first":
                rest = found[number // 10 :]
                draw.shuffle(rest)
                found[number // 10 :] = rest
            gave_up = order in ("rising", "falling")
            requests = [[latency, latency <= limit if gave_up else latency >= limit] for latency in found]
            half = number // 2
            plan = Plan(draw).told(requests[:half], f"{half} requests").ask("snapshot()").wait(5)
            plans.append(plan.told(requests[half:], f"{number - half} more").ask("snapshot()"))
    return stage(world, plans)


def trouble(plan, kind):
    """Add a batch of requests that makes a service unready."""
    return plan.requests(quick=30, failed=15) if kind == "failed" else plan.requests(quick=30, slow=20, takes=12.0)


@scenario
def silence(world, cases):
    """For each [kind, before, inside, outside, options]: trouble `before` s after the start, and then no traffic.

    Some monitors are asked at once, `inside` s later and `outside` s later; the others are asked only at the end.
    """
    draw = world.stream("requests")
    plans = []
    for kind, before, inside, outside, options in cases:
        for also_inside in (True, False):
            plan = trouble(Plan(draw, options).requests(quick=25).wait(before), kind)
            if also_inside:
                plan.wait(0.5).ask("ready()").wait(inside).ask("ready()").wait(outside - inside)
            else:
                plan.wait(outside)
            plans.append(plan.ask("ready()").ask("snapshot()"))
    return stage(world, plans)


@scenario
def long_history(world, cases):
    """For each [kind, rounds, gap, options]: rounds of 300 quick successes, 15 s apart; a gap; then sixty requests.

    For half of the monitors, the last requests are in trouble.
    """
    draw = world.stream("requests")
    plans = []
    for kind, rounds, gap, options in cases:
        for well in (True, False):
            plan = Plan(draw, options)
            for _ in range(rounds):
                plan.requests(quick=300).wait(15)
            plan.wait(gap).requests(quick=15)
            plan = plan.requests(quick=45) if well else trouble(plan, kind)
            plans.append(plan.ask("ready()"))
    return stage(world, plans)


@scenario
def traffic_goes_on(world, cases):
    """For each [kind, window]: trouble, then constant traffic; after the window all is well, or there is new trouble."""
    draw = world.stream("requests")
    plans = []
    for kind, window in cases:
        for well in (True, False):
            plan = trouble(Plan(draw, {"window": window}).requests(quick=25), kind)
            for _ in range(2):
                plan.wait(0.35 * window).requests(quick=20)
            plan.ask("ready()").wait(0.35 * window + 8).requests(quick=40)
            plan = plan.requests(quick=40) if well else trouble(plan, kind)
            plans.append(plan.ask("ready()"))
    return stage(world, plans)


@scenario
def two_questions(world, cases):
    """For each [quick, slow, failed]: requests of these kinds; then liveness and readiness, at once and much later."""
    draw = world.stream("requests")
    plans = []
    for quick, slow, failed in cases:
        plan = Plan(draw).requests(quick=25).ask("/livez", "/readyz").wait(3)
        plans.append(plan.requests(quick, slow, failed).ask("/livez", "/readyz").wait(100).ask("/livez", "/readyz"))
    return stage(world, plans)


@scenario
def leaving(world, cases):
    """For each number: that many good requests, after which half of the monitors begin to drain."""
    draw = world.stream("requests")
    plans = []
    for number in cases:
        for drained in (True, False):
            plan = Plan(draw)
            if number:
                plan.requests(quick=number)
            plan.ask("ready()", "/readyz", "/livez").wait(1)
            if drained:
                plan.step("drain")
            plan.wait(0.5).ask("ready()", "/readyz", "/livez")
            plan.wait(2).requests(quick=30).ask("ready()", "/readyz", "/livez")
            if drained:
                plan.step("drain")  # a second signal changes nothing
            plans.append(plan.wait(90).ask("ready()", "/readyz", "/livez"))
    return stage(world, plans)


@scenario
def reports(world, cases):
    """For each [quick, slow, failed, gap]: three batches of about that size, `gap` s apart, with questions after each."""
    draw = world.stream("requests")
    plans = []
    for quick, slow, failed, gap in cases:
        plan = Plan(draw).requests(quick=draw.randrange(25, 60))
        for _ in range(3):
            more = [draw.randrange(number, number + 9) if number else 0 for number in (quick, slow, failed)]
            plan.requests(*more, takes=1.6).ask("snapshot()", "/readyz", "/metrics").wait(gap)
        plans.append(plan.ask("snapshot()", "/readyz", "/metrics"))
    return stage(world, plans)


@scenario
def busy(world, cases):
    """For each [total, failed, window]: busy traffic whose first requests fail; for half a gap and some more requests."""
    draw = world.stream("requests")
    plans = []
    for total, failed, window in cases:
        for gap in (0, window + 8):
            plan = Plan(draw, {"window": window}).requests(failed=failed)
            for _ in range(total // 300):
                plan.requests(quick=300)
            if gap:
                plan.wait(gap).requests(quick=40)
            plans.append(plan.ask("ready()"))
    return stage(world, plans)


@scenario
def other_paths(world, paths):
    """GET paths that the contract doesn't promise, and one that it does."""
    return stage(world, [Plan(world.stream("requests")).ask("/livez", *paths)])


for _scenario in [value for value in list(globals().values()) if hasattr(value, "setup")]:
    _scenario.driver(drive)
