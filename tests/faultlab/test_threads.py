"""anyio's threads on the virtual clock."""

from __future__ import annotations

import threading
import time

import anyio
import pytest
from anyio import to_thread
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from faultlab import simulate


def work(seconds: float) -> str:
    time.sleep(seconds)
    return threading.current_thread().name


def test_anyio_threads_run_inline_and_take_virtual_time():
    """Work that anyio gives to a thread ends at the instant at which a thread would have ended it."""

    async def main():
        name = await to_thread.run_sync(work, 30.0)
        return name, anyio.current_time()

    name, now = simulate(main()).value
    assert name == threading.current_thread().name
    assert now == pytest.approx(30.0)


def test_their_errors_come_out():
    """What the work raises, its caller gets."""

    async def main():
        await to_thread.run_sync(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        simulate(main())


def test_starlette_endpoints_without_async_answer():
    """An endpoint that is a plain function answers on the virtual clock."""
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}

    async def main():
        sent = []

        async def receive():
            return {"type": "http.request", "body": b""}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)
        return sent

    assert simulate(main()).value[1]["body"] == b"here"


def test_real_threads_elsewhere():
    """On the real clock anyio's threads stay threads."""
    simulate(to_thread.run_sync(work, 0.0))
    assert anyio.run(to_thread.run_sync, work, 0.0) == "AnyIO worker thread"
