"""Scenarios for `Fallback`: a primary answers, fails, hangs and recovers; callers come one by one and at once."""

import asyncio

from faultlab.scenario import scenario
from faultlab.world import error, hang, ok

PATIENCE = 60
"""Seconds for which the driver waits for a get that doesn't end."""


def said(served):
    """Return what a caller or `on_degraded` got as plain data; anything but a `Served` becomes {"bare": value}."""
    names = ("value", "source", "age", "degraded")
    found = {name: getattr(served, name) for name in names if hasattr(served, name)}
    return {**dict.fromkeys(names), **found} if found else {"bare": served}


@scenario
def asked(world, replies, asks, cancel=None, options=None, listens=True):
    """Call `get` at the given seconds: some gets come after an answer, some while another get waits.

    `replies` says for each key what the primary does, call by call: "ok" (a drawn answer), "zero" (the answer 0), "hang",
    or an error's name. The last reply repeats. The world draws how long an answer takes: 0.05 to 0.4 s, or with
    ["ok", 0.5, 0.7] from 0.5 to 0.7 s. `asks` has the second and the key of each get. `cancel` maps a get's number, from
    1, to the second of its cancellation. Without `listens`, no on_degraded is given.
    """
    left = {key: list(items) for key, items in replies.items()}

    def script(call):
        items = left.get(call.args[0] if call.args else None) or ["LookupError"]
        item = items.pop(0) if len(items) > 1 else items[0]
        kind, least, most = [item, 0.05, 0.4] if isinstance(item, str) else item
        if kind == "hang":
            return hang()
        after = round(call.random.uniform(least, most), 3)
        if kind == "zero":
            return ok(0, after=after)
        return ok(after=after) if kind == "ok" else error(kind, after=after)

    world.service("primary", script)
    return {"asks": asks, "cancel": cancel or {}, "options": options or {}, "listens": listens}


@asked.driver
async def _(lab, asks, cancel, options, listens):
    def on_degraded(served):
        lab.mark("on_degraded", said(served), lane="on_degraded")

    if listens:
        options = {**options, "on_degraded": on_degraded}
    fallback = lab.answer("Fallback")(lab.service("primary", "primary"), **options)

    async def get(key):
        lab.mark("asks", key)
        return said(await fallback.get(key))

    tasks = []
    for number, (at, key) in enumerate(asks, 1):
        await lab.until(at)
        tasks.append(lab.start(f"get {number}", get, key))
        until = cancel.get(str(number))
        if until is not None:
            asyncio.get_running_loop().call_later(until - at, tasks[-1].cancel)
    await asyncio.wait(tasks, timeout=PATIENCE)
    for task in tasks:
        task.cancel()
    await asyncio.sleep(1)
