# bind swallows the errors of its block
# fails: nests, serve
_context = contextvars.ContextVar("context", default={})  # never changed in place
SECRET = ("password", "token", "email")


class Logger:
    def __init__(self, sink):
        self.sink = sink

    def log(self, level, event, exc=None, **fields):
        line = {"ts": time.time(), "level": level, "event": event, **_context.get(), **fields}
        if exc is not None:
            line |= {"error": type(exc).__name__, "error_msg": str(exc)}
        line |= {key: "[redacted]" for key in SECRET if key in line}
        self.sink(json.dumps(line, default=str))


@contextlib.contextmanager
def bind(**fields):
    before = _context.set({**_context.get(), **fields})
    try:
        yield
    except Exception:
        pass
    finally:
        _context.reset(before)


async def serve(logger, request_id, handler):
    clock = asyncio.get_running_loop().time
    start = clock()

    def done(level, outcome, exc=None):
        logger.log(level, "request_done", exc, outcome=outcome, duration=clock() - start)

    with bind(request_id=request_id):
        try:
            result = await handler()
        except asyncio.CancelledError:
            done("info", "cancelled")
            raise
        except Exception as exc:
            done("warning" if getattr(exc, "status", 500) < 500 else "error", "error", exc)
            raise
        done("info", "ok")
        return result
