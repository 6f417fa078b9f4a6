# An exponential average has no count, and never forgets without traffic
# fails: recovers_without_traffic, body_and_counters
class HealthMonitor:
    def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0):
        self.min_samples, self.max_error_rate, self.max_p99 = min_samples, max_error_rate, max_p99
        self.count, self.errors, self.latency, self.draining = 0, 0.0, 0.0, False

    def record(self, latency, ok):
        self.count += 1
        self.errors += 0.02 * ((not ok) - self.errors)
        self.latency += 0.02 * (latency - self.latency)

    def snapshot(self):
        spread = {"p50": self.latency, "p95": 2 * self.latency, "p99": 3 * self.latency}
        return {"count": self.count, "error_rate": self.errors, **spread}

    def ready(self):
        well = self.errors <= self.max_error_rate and 3 * self.latency <= self.max_p99
        return not self.draining and (self.count < self.min_samples or well)

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
            kind, body = b"text/plain; version=0.0.4", b""
        elif path != "/livez":
            status = 404
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": body})

    return app
