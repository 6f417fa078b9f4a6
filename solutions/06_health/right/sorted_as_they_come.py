# Latencies kept in order all the time; a timer for each request removes it again
from bisect import bisect_left, insort


class HealthMonitor:
    def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0):
        self.window, self.min_samples = window, min_samples
        self.max_error_rate, self.max_p99 = max_error_rate, max_p99
        self.draining = False
        self.latencies, self.failed = [], 0
        self.registry = CollectorRegistry()
        self.requests = Counter("requests", "Requests.", ["outcome"], registry=self.registry)

    def record(self, latency, ok):
        self.requests.labels("ok" if ok else "error").inc()
        insort(self.latencies, latency)
        self.failed += not ok
        asyncio.get_running_loop().call_later(self.window, self._leaves, latency, ok)

    def _leaves(self, latency, ok):
        del self.latencies[bisect_left(self.latencies, latency)]
        self.failed -= not ok

    def snapshot(self):
        count = len(self.latencies)
        rate = self.failed / count if count else 0.0
        numbers = {"count": count, "error_rate": rate}
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            numbers[name] = self.latencies[round(share * (count - 1))] if count else None
        return numbers

    def ready(self):
        seen = self.snapshot()
        if self.draining or seen["count"] < self.min_samples:
            return not self.draining
        return seen["error_rate"] <= self.max_error_rate and seen["p99"] <= self.max_p99

    def begin_drain(self):
        self.draining = True


def make_app(monitor):
    """Return an ASGI app: GET /livez, /readyz and /metrics; anything else is a 404."""

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
