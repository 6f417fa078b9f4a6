# A histogram with logarithmic bins for each second; percentiles come from its counts
import math


class HealthMonitor:
    WIDTH = math.log(1.05)

    def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0):
        self.window, self.min_samples = window, min_samples
        self.max_error_rate, self.max_p99 = max_error_rate, max_p99
        self.seconds = {}
        self.registry = CollectorRegistry()
        self.counter = Counter("requests", "Requests.", ["outcome"], registry=self.registry)
        self.leaving = asyncio.Event()

    def record(self, latency, ok):
        self.counter.labels("ok" if ok else "error").inc()
        second = self.seconds.setdefault(math.floor(asyncio.get_running_loop().time()), [{}, 0])
        bin = round(math.log(max(latency, 1e-6)) / self.WIDTH)
        second[0][bin] = second[0].get(bin, 0) + 1
        second[1] += not ok

    def snapshot(self):
        oldest = asyncio.get_running_loop().time() - self.window
        self.seconds = {second: found for second, found in self.seconds.items() if second >= oldest}
        bins, failed = {}, 0
        for found, failures in self.seconds.values():
            failed += failures
            for bin, number in found.items():
                bins[bin] = bins.get(bin, 0) + number
        count = sum(bins.values())

        def percentile(share):
            passed = 0
            for bin in sorted(bins):
                passed += bins[bin]
                if passed >= share * count:
                    return math.exp(bin * self.WIDTH)
            return 0

        percentiles = {name: percentile(share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        return {"count": count, "error_rate": failed / count if count else 0, **percentiles}

    def ready(self):
        seen = self.snapshot()
        healthy = seen["error_rate"] <= self.max_error_rate and seen["p99"] <= self.max_p99
        return (seen["count"] < self.min_samples or healthy) and not self.leaving.is_set()

    def begin_drain(self):
        self.leaving.set()


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
