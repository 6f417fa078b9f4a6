# bind is a class, the level comes from the status, and one finally writes the line
import datetime

_bound = contextvars.ContextVar("bound")


def bound():
    return _bound.get(())


class bind:  # noqa: N801
    def __init__(self, **fields):
        self.fields = fields

    def __enter__(self):
        self.before = _bound.set((*bound(), self.fields))

    def __exit__(self, *error):
        _bound.reset(self.before)


class Logger:
    HIDDEN = frozenset({"password", "token", "email"})

    def __init__(self, sink):
        self.sink = sink

    def log(self, level, event, exc=None, **fields):
        line = {"event": event, "level": level, "ts": datetime.datetime.now().isoformat()}
        for part in (*bound(), fields):
            line.update((key, "***" if key in self.HIDDEN else value) for key, value in part.items())
        if exc is not None:
            line["error"], line["error_msg"] = type(exc).__qualname__, str(exc)
        self.sink(json.dumps(line, default=repr, ensure_ascii=False))


async def serve(logger, request_id, handler):
    start, level, outcome = time.monotonic(), "info", "ok"
    failed = None
    with bind(request_id=request_id):
        try:
            return await handler()
        except BaseException as exc:
            failed = exc
            if isinstance(exc, asyncio.CancelledError):
                level, outcome = "warning", "cancelled"
            else:
                status = getattr(exc, "status", None)
                level, outcome = "warning" if status is not None and status < 500 else "error", "error"
            raise
        finally:
            took = round(time.monotonic() - start, 3)
            logger.log(level, "request_done", failed, outcome=outcome, duration=took)
