# Is ready whatever happens: a check that can't fail
# fails: idle, percentiles, recovers_without_traffic, history_does_not_mask, recovers_with_traffic, window_is_time, min_samples, error_rate, one_outlier, tail, liveness, drain, body_and_counters
class HealthMonitor:
    def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0):
        self.registry = CollectorRegistry()

    def record(self, latency, ok):
        pass

    def snapshot(self):
        return {"count": 0, "error_rate": 0.0, "p50": 0.01, "p95": 0.01, "p99": 0.01}

    def ready(self):
        return True

    def begin_drain(self):
        pass


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
