# statistics.quantiles, and Starlette with plain functions
import statistics

from prometheus_client import make_asgi_app
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route


class HealthMonitor:
    def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0):
        self.window, self.min_samples = window, min_samples
        self.max_error_rate, self.max_p99 = max_error_rate, max_p99
        self.registry = CollectorRegistry()
        self.total = Counter("requests_total", "Requests.", ["outcome"], registry=self.registry)
        self.recent = []
        self.draining = False

    def record(self, latency, ok):
        self.recent.append((asyncio.get_running_loop().time(), latency, ok))
        self.total.labels(outcome="ok" if ok else "error").inc()

    def snapshot(self):
        after = asyncio.get_running_loop().time() - self.window
        self.recent = [one for one in self.recent if one[0] > after]
        latencies = [latency for _, latency, _ in self.recent]
        if not latencies:
            return {"count": 0, "error_rate": 0.0, "p50": None, "p95": None, "p99": None}
        cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
        rate = sum(1 for *_, ok in self.recent if not ok) / len(latencies)
        return {"count": len(latencies), "error_rate": rate, "p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}

    def ready(self):
        if self.draining:
            return False
        seen = self.snapshot()
        if seen["count"] < self.min_samples:
            return True
        return seen["error_rate"] <= self.max_error_rate and seen["p99"] <= self.max_p99

    def begin_drain(self):
        self.draining = True


def make_app(monitor):
    def livez(request):
        return PlainTextResponse("alive")

    def readyz(request):
        ready = monitor.ready()
        return JSONResponse({"ready": ready, **monitor.snapshot()}, status_code=200 if ready else 503)

    metrics = Mount("/metrics", make_asgi_app(monitor.registry))
    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), metrics])
