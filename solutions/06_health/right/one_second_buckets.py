# One bucket for each second, and a counter kept by hand
import math
from collections import defaultdict
from time import monotonic


class HealthMonitor:
    def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0):
        self.window, self.min_samples = window, min_samples
        self.max_error_rate, self.max_p99 = max_error_rate, max_p99
        self.buckets = defaultdict(list)
        self.totals = {"ok": 0, "error": 0}
        self.drains = False

    def record(self, latency, ok):
        self.totals["ok" if ok else "error"] += 1
        self.buckets[int(monotonic())].append((latency, ok))

    def snapshot(self):
        now = monotonic()
        for second in [second for second in self.buckets if second < now - self.window]:
            del self.buckets[second]
        found = sorted(one for bucket in self.buckets.values() for one in bucket)
        count = len(found)
        if not count:
            return {"count": 0, "error_rate": 0.0, "p50": 0.0, "p95": 0.0, "p99": 0.0}
        rate = sum(not ok for _, ok in found) / count
        nearest = {f"p{share}": found[math.ceil(share * count / 100) - 1][0] for share in (50, 95, 99)}
        return {"count": count, "error_rate": rate, **nearest}

    def ready(self):
        seen = self.snapshot()
        well = seen["error_rate"] <= self.max_error_rate and seen["p99"] <= self.max_p99
        return not self.drains and (well or seen["count"] < self.min_samples)

    def begin_drain(self):
        self.drains = True


def make_app(monitor):
    async def app(scope, receive, send):
        await receive()
        status, body = answer(monitor, scope["path"])
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body.encode(), "more_body": True})
        await send({"type": "http.response.body"})

    return app


def answer(monitor, path):
    if path == "/livez":
        return 200, "alive"
    if path == "/readyz":
        ready = monitor.ready()
        return 200 if ready else 503, json.dumps(monitor.snapshot() | {"ready": ready})
    if path == "/metrics":
        lines = [f'requests_total{{outcome="{outcome}"}} {number}' for outcome, number in monitor.totals.items()]
        return 200, "# TYPE requests_total counter\n" + "\n".join(lines) + "\n"
    return 404, "not found"
