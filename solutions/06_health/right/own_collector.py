# A collector that runs at each scrape; numpy for the percentiles; Starlette with coroutines
import time

import numpy
from prometheus_client.core import CounterMetricFamily
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class HealthMonitor:
    def __init__(self, *, window=60.0, min_samples=20, max_error_rate=0.05, max_p99=1.0):
        self.limits = window, min_samples, max_error_rate, max_p99
        self.seen = deque()
        self.totals = {True: 0, False: 0}
        self.is_draining = False

    def collect(self):
        family = CounterMetricFamily("requests", "Requests.", labels=["outcome"])
        family.add_metric(["ok"], self.totals[True])
        family.add_metric(["error"], self.totals[False])
        yield family

    def record(self, latency, ok):
        self.totals[bool(ok)] += 1
        self.seen.append((time.time(), latency, ok))

    def snapshot(self):
        while self.seen and time.time() - self.seen[0][0] > self.limits[0]:
            self.seen.popleft()
        if not self.seen:
            return {"count": 0, "error_rate": 0.0, "p50": 0.0, "p95": 0.0, "p99": 0.0}
        latencies = numpy.array([latency for _, latency, _ in self.seen])
        failed = numpy.mean([not ok for *_, ok in self.seen])
        places = {f"p{share}": numpy.percentile(latencies, share) for share in (50, 95, 99)}
        return {"count": len(self.seen), "error_rate": failed, **places}

    def ready(self):
        _, enough, most, slowest = self.limits
        seen = self.snapshot()
        return not self.is_draining and (
            seen["count"] < enough or (seen["error_rate"] <= most and seen["p99"] <= slowest)
        )

    def begin_drain(self):
        self.is_draining = True


def make_app(monitor):
    registry = CollectorRegistry()
    registry.register(monitor)

    async def livez(request):
        return Response(status_code=200)

    async def readyz(request):
        ready = bool(monitor.ready())
        return JSONResponse({"ready": ready} | monitor.snapshot(), 200 if ready else 503)

    async def metrics(request):
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    paths = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in paths.items()])
