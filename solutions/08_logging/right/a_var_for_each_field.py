# One ContextVar for each bound name; an ExitStack resets them; serve's line is a context manager
_vars = {}


@contextlib.contextmanager
def bind(**fields):
    with contextlib.ExitStack() as stack:
        for name, value in fields.items():
            var = _vars.setdefault(name, contextvars.ContextVar(name))
            stack.callback(var.reset, var.set(value))
        yield


class Logger:
    def __init__(self, sink):
        self.sink = sink

    def log(self, level, event, exc=None, **fields):
        context = contextvars.copy_context()
        bound = {name: context[var] for name, var in _vars.items() if var in context}
        error = {} if exc is None else {"error": type(exc).__name__, "error_msg": str(exc)}
        line = bound | fields | error | {"ts": time.time(), "level": level, "event": event}
        secret = {"password", "token", "email"} & line.keys()
        self.sink(json.dumps(line | dict.fromkeys(secret, "hidden"), default=str) + "\n")


@contextlib.contextmanager
def one_line(logger, clock):
    start, seen = clock(), ("info", "ok", None)
    try:
        yield
    except asyncio.CancelledError:
        seen = ("info", "cancelled", None)
        raise
    except Exception as error:
        status = getattr(error, "status", 500)
        seen = ("error" if status >= 500 else "warning", "error", error)
        raise
    finally:
        level, outcome, error = seen
        logger.log(level, "request_done", exc=error, outcome=outcome, duration=clock() - start)


async def serve(logger, request_id, handler):
    with bind(request_id=request_id), one_line(logger, asyncio.get_running_loop().time):
        return await handler()
