# A ring of slots of five seconds
import time


class HealthMonitor:
    SLOT = 5.0

    def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0):
        self.window, self.min_samples = window, min_samples
        self.max_error_rate, self.max_p99 = max_error_rate, max_p99
        self.ring = [(None, [], []) for _ in range(int(window // self.SLOT))]
        self.all_ok = self.all_failed = 0
        self.drains = False

    def _slot(self):
        number = int(time.monotonic() // self.SLOT)
        if self.ring[number % len(self.ring)][0] != number:
            self.ring[number % len(self.ring)] = (number, [], [])
        return self.ring[number % len(self.ring)]

    def record(self, latency, ok):
        _, good, bad = self._slot()
        (good if ok else bad).append(latency)
        if ok:
            self.all_ok += 1
        else:
            self.all_failed += 1

    def snapshot(self):
        now = int(time.monotonic() // self.SLOT)
        slots = [slot for slot in self.ring if slot[0] is not None and now - slot[0] < len(self.ring)]
        failed = sum(len(bad) for _, _, bad in slots)
        latencies = sorted(latency for _, good, bad in slots for latency in good + bad)
        count = len(latencies)

        def percentile(share):
            if not count:
                return None
            place = share * (count - 1)
            low = int(place)
            high = min(low + 1, count - 1)
            return latencies[low] + (place - low) * (latencies[high] - latencies[low])

        rate = failed / count if count else 0.0
        places = {name: percentile(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        return {"count": count, "error_rate": rate, **places}

    def ready(self):
        if self.drains:
            return False
        seen = self.snapshot()
        if seen["count"] < self.min_samples:
            return True
        return not (seen["error_rate"] > self.max_error_rate or seen["p99"] > self.max_p99)

    def begin_drain(self):
        self.drains = True


def make_app(monitor):
    async def livez():
        return 200, b"{}"

    async def readyz():
        ready = monitor.ready()
        return (200 if ready else 503), json.dumps(dict(ready=ready, **monitor.snapshot())).encode()

    async def metrics():
        page = f'requests_total{{outcome="error"}} {monitor.all_failed}\n'
        return 200, (f'requests_total{{outcome="ok"}} {monitor.all_ok}\n' + page).encode()

    async def missing():
        return 404, b""

    routes = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}

    async def app(scope, receive, send):
        status, body = await routes.get(scope["path"], missing)()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app
