# structlog's processors and its context variables do the work
import structlog


def hidden(logger, level, line):
    return {key: value for key, value in line.items() if key not in ("password", "token", "email")}


def with_error(logger, level, line):
    if (exc := line.pop("exc", None)) is not None:
        line.update(error=type(exc).__name__, error_msg=str(exc))
    return line


class Logger:
    def __init__(self, sink):
        self.sink = sink
        self.steps = [
            structlog.contextvars.merge_contextvars,
            with_error,
            hidden,
            structlog.processors.TimeStamper(fmt="iso", key="ts"),
            structlog.processors.JSONRenderer(default=repr),
        ]

    def log(self, level, event, exc=None, **fields):
        line = {"level": level, "event": event, "exc": exc, **fields}
        for step in self.steps:
            line = step(None, level, line)
        self.sink(line)


bind = structlog.contextvars.bound_contextvars


async def serve(logger, request_id, handler):
    clock = asyncio.get_running_loop().time
    start = clock()
    with bind(request_id=request_id):
        try:
            result = await handler()
        except asyncio.CancelledError:
            logger.log("debug", "request_done", outcome="cancelled", duration=clock() - start)
            raise
        except Exception as exc:
            level = "warning" if getattr(exc, "status", 500) < 500 else "error"
            logger.log(level, "request_done", exc=exc, outcome="error", duration=clock() - start)
            raise
        logger.log("info", "request_done", outcome="ok", duration=clock() - start)
        return result
