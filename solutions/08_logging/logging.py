# %% [markdown] lecture="Structured Logging"
# # Logging
#
# **Which request did this?** A service works on many requests at once and writes one stream of log lines. A line that
# doesn't say which request it belongs to tells you only that something happened.
#
# About 20 minutes to read, 45 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import asyncio
import contextlib
import contextvars
import json
import time

import structlog

from autograder import check
from faultlab import World, axes, error, live, mark, ok, show, simulate
from faultlab.lanes import lanes
from faultlab.notebook import start
from faultlab.warmup import mended, predict

start()

# %% [markdown]
# ## A detective story: the voucher that was used twice
#
# Three customers pay at about the same time. Each has a voucher that may be used once. In the evening the books show
# four vouchers taken off instead of three: one customer's voucher was taken off twice. Here is the code that did it,
# and the log that it wrote.


# %%
async def checkout(say, take_voucher):
    say("begins")
    for _ in range(2):
        say("takes the voucher off")
        try:
            await take_voucher()
            break
        except TimeoutError:
            say("no answer, once more")
    say("pays")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
ARRIVALS = {"alice": 0.0, "bob": 0.05, "carol": 0.1}


def shop():
    """Vouchers are taken off at once; the answer to the second customer's first call is lost."""
    world = World()
    waits = [ok(after=0.6), error("TimeoutError", "no answer", after=0.3), ok(after=0.15), ok(after=0.3)]
    return world, world.service("vouchers", waits)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
async def evening(say_for, vouchers):
    async def customer(name, arrival):
        await asyncio.sleep(arrival)
        await checkout(say_for(name), vouchers.for_lane(name))

    await asyncio.gather(*(customer(name, arrival) for name, arrival in ARRIVALS.items()))


# %%
def day():
    log = []  # (who, what): the log shows only what was said
    world, vouchers = shop()
    simulate(evening(lambda name: lambda text: log.append((name, text)), vouchers), world=world)
    return log


for _, text in day():
    print(text)

# %% [markdown]
# Eleven lines, all of them true. **Before you go on: whose voucher was taken off twice?**

# %% tags=["plumbing"] jupyter={"source_hidden": true}
COLOURS = {"alice": "#7B4FA3", "bob": "#8C5A2B", "carol": "#34407F"}


def raw_and_grouped(log):
    fig, ax = axes("Whose lines are these? The log as it was written, and by customer", width=8.6, height=3.6)
    ax.axis("off")
    columns = {name: 0.30 + 0.24 * number for number, name in enumerate(COLOURS)}
    ax.text(0, 0.2, "as written", fontsize=10, fontweight="bold")
    for name, x in columns.items():
        ax.text(x, 0.2, name, fontsize=10, fontweight="bold", color=COLOURS[name])
    for number, (name, text) in enumerate(log, start=1):
        ax.text(0, -number, f"{number:2}  {text}", fontsize=9, color="#222222")
        ax.text(columns[name], -number, f"{number:2}  {text}", fontsize=9, color=COLOURS[name])
    ax.plot([0.27, 0.27], [0.8, -len(log) - 0.3], color="#BBBBBB", linewidth=1)
    ax.set(xlim=(0, 1.02), ylim=(-len(log) - 0.6, 1))
    return fig


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Whose voucher was taken off twice?",
    ["alice's", "bob's", "carol's"],
    lambda: f"{next(name for name, text in day() if text == 'no answer, once more')}'s",
    why="You could only guess: 'no answer, once more' was written after all three customers had begun, and fits each "
    "of them. The first call did take bob's voucher off. Only its answer was lost, and the second call took it off again.",
)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
show(
    raw_and_grouped(day()),
    alt="Left, eleven lines in the order in which they were written, begins, takes the voucher off, and so on, without "
    "names. Right, the same lines in three columns: alice has three lines, carol three, and bob five. Two of bob's say "
    "that he takes the voucher off.",
    fold="What happened",
)

# %% [markdown]
# The columns add only one thing to the log: a name on each line.
#
# > **Every line says whose it is, and nobody has to remember to say it.**
#
# The second half matters as much as the first. If you pass a name to each function that might log, every signature
# changes. And the one function that you forget will be the one whose lines you need.
#
# ## The pattern: a variable that belongs to the task
#
# A `ContextVar` is a variable that has its own value in each task. You set it once, where the request begins. All code
# that works on this request reads it.

# %%
customer_now = contextvars.ContextVar("customer_now", default="nobody")


def said(text):
    print(json.dumps({"event": text, "customer": customer_now.get()}))


async def one_customer(name, vouchers):
    customer_now.set(name)  # once, at the door
    await checkout(said, vouchers.for_lane(name))  # `checkout` is unchanged: it knows of no customer


async def next_morning(vouchers):
    await asyncio.gather(one_customer("dora", vouchers), one_customer("emil", vouchers))


world, vouchers = shop()
_ = simulate(next_morning(vouchers), world=world)

# %% [markdown]
# `emil` is set after `dora`, and still no line has the wrong name: `gather` makes a task of each coroutine, and each
# task has its own value.
#
# Each line is now one JSON object: an *event*, which is always the same text, and *fields* for everything that varies.
# "User 7 not found after 0.3 s" has to be taken apart with a regular expression. `event="not found", user=7, after=0.3`
# can be counted, filtered and grouped as it is. That is all that **structured** means.

# %% [markdown] lecture="init_tracing"
# ## The lecture's listing, with structlog
#
# The lecture uses Rust's `tracing`; Python's `structlog` has the same ideas. A logger is a chain of small functions,
# the *processors*. Each processor takes the line as a dict and hands it on; the last one writes it. The lecture's
# set-up asks for the level and the thread's number:

# %% lecture="init_tracing"
THREAD = structlog.processors.CallsiteParameter.THREAD


def lecture_init_tracing():
    return structlog.wrap_logger(
        structlog.PrintLogger(),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.CallsiteParameterAdder([THREAD]),
            structlog.processors.LogfmtRenderer(key_order=["level", "event"]),
        ],
    )


# %% [markdown]
# In the lecture, `#[instrument]` opens a *span*: while `get_user` runs, each line has its arguments and the fields that
# the attribute names. `bound_contextvars` does the same with context variables like ours.


# %% lecture="get_user, traced"
class LectureApiError(Exception):
    """The error that the caller of lecture_get_user receives."""


async def lecture_get_user(logger, query_user, id):
    with structlog.contextvars.bound_contextvars(id=id, user_id=id):  # both, as the attribute does it
        logger.info("Fetching user")
        try:
            username = await query_user(id)
        except Exception as problem:
            logger.error("Failed to fetch user", error=str(problem))
            raise LectureApiError("database") from problem
        logger.info("User found", username=username)
        return username


# %% [markdown]
# Three requests at once, on the real clock this time:


# %%
def users():
    world = World()
    names = {1: ok("ada", after=0.03), 2: error("ConnectionError", "refused", after=0.02), 3: ok("eve", after=0.01)}
    return world, world.service("database", lambda call: names[call.args[0]])


async def three_users(logger, query_user):
    asked = [lecture_get_user(logger, query_user, number) for number in (1, 2, 3)]
    await asyncio.gather(*asked, return_exceptions=True)


world, query_user = users()
_ = await live(three_users(lecture_init_tracing(), query_user), world=world)

# %% [markdown]
# It works as intended: the lines are mixed, and each says which request it belongs to. Look at two of the fields again.
# `id` and `user_id` are the same number, written twice in every line. `thread` is the same everywhere, because all
# three requests share one thread: the number tells you nothing. In Rust it tells you even less, since a task may move
# from thread to thread between two lines. To tell requests apart, give each request an id.

# %% [markdown]
# ## One thing changes: a handler calls it
#
# A handler calls `lecture_get_user` and, being careful, logs what goes wrong. So does the retry between the two. **One
# request fails: how many error lines does it leave?**


# %%
async def patient_get_user(logger, query_user, id):
    for attempt in (1, 2, 3):
        try:
            return await lecture_get_user(logger, query_user, id)
        except LectureApiError as problem:
            logger.error("attempt failed", attempt=attempt, error=str(problem))
    raise LectureApiError("gave up")


async def careful_handler(logger, query_user, id):
    try:
        return await patient_get_user(logger, query_user, id)
    except LectureApiError as problem:
        logger.error("request failed", error=str(problem))


# %% tags=["plumbing"] jupyter={"source_hidden": true}
class Listener:
    """A logger that keeps its lines: (level, event, fields)."""

    def __init__(self):
        self.lines = []

    def info(self, event, **fields):
        self.lines.append(("info", event, fields))

    def error(self, event, **fields):
        self.lines.append(("error", event, fields))


def errors_logged(handler_of, id=2):
    listener = Listener()
    world, query_user = users()
    simulate(handler_of(listener, query_user, id), world=world, catch=True)
    return [event for level, event, _ in listener.lines if level == "error"]


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "The database refuses user 2 each time. One request, three attempts: how many lines have the level error?",
    [1, 3, 4, 7],
    lambda: len(errors_logged(careful_handler)),
    why="Each attempt is logged where it fails and again where it is caught: six lines. Then the handler logs the "
    "request. One request failed, but a count of the errors in this log says seven. An alarm set to five a minute "
    "goes off for a single user.",
)

# %% [markdown]
# > **Either log an error or raise it. The code that handles it logs it, once.**
#
# ### Warm-up 1: fix the double line
#
# Change the functions in this cell so that a failure leaves **one** line of level error and a success leaves none. The
# error must still reach the handler with its cause. Run the cell again to see.


# %%
async def my_get_user(logger, query_user, id):
    try:
        return await query_user(id)
    except ConnectionError as problem:
        logger.error("failed to fetch user", user_id=id)
        raise LectureApiError("database") from problem


async def my_handler(logger, query_user, id):
    try:
        return await my_get_user(logger, query_user, id)
    except LectureApiError as problem:
        logger.error("request failed", error=str(problem), cause=str(problem.__cause__))


def still_wrong():
    failed, well = errors_logged(my_handler, 2), errors_logged(my_handler, 1)
    if well:
        return f"a request that went well has {len(well)} error line(s)"
    return "" if failed == ["request failed"] else f"one failed request has these error lines: {', '.join(failed)}"


_ = mended(
    still_wrong,
    well="One failure, one line, written by the code that decided what to do about it.",
    hint="Which of the two functions knows that nobody will try again? The other one should only raise. The id that it "
    "knows can travel with the error, as a note or in its text.",
)

# %% [markdown]
# ## asyncio you need: the context is copied when a task is created
#
# `asyncio.create_task` gives the new task a **copy** of the context as it is at that moment. (`gather` and `TaskGroup`
# create tasks too, so they do the same.) From then on the two are separate: the parent doesn't see what the child sets,
# and the child doesn't see what the parent sets later.

# %%
job = contextvars.ContextVar("job", default="none")


async def child():
    mark("job", job.get())
    await asyncio.sleep(0.2)
    job.set("C")
    mark("job", job.get())


async def parent():
    job.set("A")
    mark("job", job.get())
    task = asyncio.create_task(child(), name="child")
    await asyncio.sleep(0.1)
    job.set("B")
    mark("job", job.get())
    await task
    mark("job", job.get())


# %% tags=["plumbing"] jupyter={"source_hidden": true} cover="true"
show(simulate(parent()).timeline, title="Which value of job does each task see?", order=["parent", "child"])

# %% [markdown]
# The word *copy* hides a trap. The copy holds the same objects, not copies of them. If a variable holds a dict and one
# task changes that dict, every task that holds it sees the change. So never change the dict in a context variable: set
# a new one, and let `reset` bring the old one back.

# %%
fields_now = contextvars.ContextVar("fields_now", default={})  # noqa: B039 -- never changed in place

earlier = fields_now.set({**fields_now.get(), "tenant": "north"})  # a new dict
print(f"inside: {fields_now.get()}")
fields_now.reset(earlier)
print(f"outside: {fields_now.get()}")

# %% [markdown]
# ### Warm-up 2: predict the context
#
# Three readers, and one variable that is set three times. **What does each reader see?**


# %%
async def reader(seen):
    await asyncio.sleep(0.1)
    seen.append(job.get())


async def three_readers():
    seen = []
    job.set("A")
    first = asyncio.create_task(reader(seen))
    job.set("B")
    second = asyncio.create_task(reader(seen))
    job.set("C")
    await asyncio.gather(first, second)
    await reader(seen)  # no task: an ordinary await
    return " ".join(seen)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "Both tasks read the variable after all three values were set. What do the three readers see?",
    ["A B C", "B B C", "C C C", "A B A"],
    lambda: simulate(three_readers()).value,
    why="What counts is when a task is created, not when it runs. A plain `await` creates no task.",
)

# %% [markdown]
# ## One line is enough
#
# Lines that say "begins", "fetching", "still here" help you while you write the program. Once it runs you ask other
# questions: how many requests failed, how long do they take, for which customers? For these, **one line per request**
# is enough: written at the request's end, with everything that was learnt on the way. It is called the *canonical log
# line*. Stripe's engineering blog made it known ("Fast and flexible observability with canonical log lines", 2019).
#
# Here is the evening in the shop once more. `checkout` is the same, but its messages are counted instead of written.


# %%
async def canonical_checkout(name, vouchers):
    clock = asyncio.get_running_loop().time
    begun, counts = clock(), {}

    def count(text):
        counts[text] = counts.get(text, 0) + 1

    await checkout(count, vouchers.for_lane(name))
    took = round(clock() - begun, 2)
    tries = counts["takes the voucher off"]
    print(json.dumps({"event": "checkout_done", "customer": name, "voucher_calls": tries, "duration": took}))


# %%
async def canonical_evening(vouchers):
    async def arriving(name, arrival):
        await asyncio.sleep(arrival)
        await canonical_checkout(name, vouchers)

    await asyncio.gather(*(arriving(name, arrival) for name, arrival in ARRIVALS.items()))


world, vouchers = shop()
_ = simulate(canonical_evening(vouchers), world=world)

# %% [markdown]
# Three lines instead of eleven. `voucher_calls` greater than 1 answers the detective's question, for this evening and
# for every other one.
#
# Which **level** should such a line have? The level says who should care. If a user asks for a page that doesn't exist,
# the mistake is the user's, and nobody on our side needs to be paged. If a database is gone, the problem is ours.
# HTTP's status codes already make this distinction:
#
# | the request ended with | whose problem | level |
# |---|---|---|
# | a result | nobody's | `info` |
# | a status below 500, such as 404 | the client's | `warning` |
# | a status of 500 or more, such as 503 or 504 | ours | `error` |
# | an exception without a status | ours: a bug | `error` |
# | a cancellation | the caller left | below `error` |
#
# Some values belong in no line at all. Logs are copied, searched, kept for years and read by many people, so a password
# in a log is a published password. **Redact** such fields in the one place that every line passes, because any other
# place will be forgotten one day.
#
# The table's last row needs extra code. When the caller goes away, the task is cancelled. `except Exception`
# doesn't see that, because `CancelledError` isn't an `Exception`. Without a clause for it, a cancelled request leaves
# no line.

# %% [markdown]
# ## Exercise: `Logger`, `bind` and `serve`
#
# *5 points.* Write a class, a context manager and a coroutine function.
#
# ```python
# class Logger:
#     def __init__(self, sink)                  # sink(line: str)
#     def log(self, level, event, exc=None, **fields)
# def bind(**fields)                            # context manager
# async def serve(logger, request_id, handler)
# ```
#
# **`Logger(sink).log(level, event, exc=None, **fields)`** calls `sink` once, with one line of JSON.
#
# * The line has `ts` (the time, in any form), `level`, `event`, the bound fields and the fields of the call. If a bound
#   field and a field of the call have the same name, the call's value is written.
# * With `exc` the line also has `error`, the name of the exception's class, and `error_msg`, the exception's text.
# * A value that JSON can't represent doesn't break the line: write it as text.
# * The values of `password`, `token` and `email` (exactly these keys, in lower case) are redacted, whether they are
#   bound or fields of the call: no part of such a value is written. Only these keys are redacted. The texts `event` and
#   `error_msg` are written as they are, so keep secrets out of them.
#
# **`with bind(**fields):`** adds the fields to every line that is logged in the block.
#
# * Blocks nest: an inner block adds to the outer one, and may bind a name anew. After a block the context is what it
#   was before the block, even if an error ended the block. The error propagates.
# * The fields reach child tasks that are created in the block. The fields of concurrent tasks never mix.
#
# **`await serve(logger, request_id, handler)`** awaits `handler()` with `request_id` bound, and returns its result.
#
# * It logs exactly one line with the event `request_done`. The line has an `outcome` (`"ok"`, `"error"` or
#   `"cancelled"`) and the `duration` in seconds; `request_id` is still bound.
# * The handler's exception propagates unchanged.
# * The level is `info`. After an exception it is `warning` if the exception has a `status` below 500, otherwise
#   `error`.
# * A cancelled request has its line too, with a level below `error`. The cancellation propagates.
#
# No field will be called `event` or `level`.


# %% exercise="logging"
class Logger:
    """Write one line of JSON to `sink(line)` for each call of `log`."""

    def __init__(self, sink):
        self.sink = sink

    def log(self, level, event, exc=None, **fields):
        """Write one line: ts, level, event, the bound fields, the fields; secrets redacted."""
        ### BEGIN SOLUTION
        line = {"ts": time.time(), "level": level, "event": event, **_context.get(), **fields}
        if exc is not None:
            line |= {"error": type(exc).__name__, "error_msg": f"{exc}"}
        line |= {key: "[redacted]" for key in ("password", "token", "email") if key in line}
        self.sink(json.dumps(line, default=str))
        ### END SOLUTION


# What `bind` keeps and `log` finds:
### BEGIN SOLUTION
_context = contextvars.ContextVar("context", default={})  # noqa: B039 -- the dict is never changed in place
### END SOLUTION


@contextlib.contextmanager
def bind(**fields):
    """Add these fields to every line that this task and its child tasks log in the block."""
    ### BEGIN SOLUTION
    before = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(before)
    ### END SOLUTION


async def serve(logger, request_id, handler):
    """Return what `handler()` returns, with request_id bound and one request_done line at the end."""
    ### BEGIN SOLUTION
    clock = asyncio.get_running_loop().time
    start = clock()

    def done(level, outcome):
        logger.log(level, "request_done", outcome=outcome, duration=clock() - start)

    with bind(request_id=request_id):
        try:
            result = await handler()
        except asyncio.CancelledError:
            done("info", "cancelled")
            raise
        except Exception as exc:
            done("warning" if getattr(exc, "status", 500) < 500 else "error", "error")
            raise
        done("info", "ok")
        return result
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: where to begin</summary>
#
# Begin with `log` alone: build a dict, turn it into text with `json.dumps(line, default=str)`, and give the text to the
# sink. Then add `exc`. Redact in the last step before writing. Write `bind` next (most checks end with a `TypeError`
# until it has a `yield`), and `serve` last: it needs both.
# </details>
#
# <details><summary>Hint 2: the context, and the three ends</summary>
#
# Use one module-level `ContextVar` that holds a dict. `bind` sets a *new* dict and resets it in a `finally`. `log`
# reads it.
#
# A request can end in three ways, and `serve` writes its line in each: a result, `asyncio.CancelledError` or
# `Exception`. After the last two, re-raise with a bare `raise`. Put everything inside `with
# bind(request_id=request_id):`. For the level, `getattr(exc, "status", 500)` saves you a special case.
# </details>
#
# <details><summary>Hint 3: the lines of a solution, shuffled</summary>
#
# ```
# except asyncio.CancelledError:
# line |= {key: "[redacted]" for key in ("password", "token", "email") if key in line}
# _context.reset(before)
# result = await handler()
# with bind(request_id=request_id):
# before = _context.set({**_context.get(), **fields})
# line = {"ts": time.time(), "level": level, "event": event, **_context.get(), **fields}
# except Exception as exc:
# line |= {"error": type(exc).__name__, "error_msg": f"{exc}"}
# self.sink(json.dumps(line, default=str))
# start = asyncio.get_running_loop().time()
# ```
# </details>

# %% [markdown]
# ## What practitioners use
#
# `structlog` has a processor for each of these steps, and you can add your own. This chain is most of the exercise:


# %%
def without_secrets(logger, method, line):
    return {key: "[redacted]" if key in ("password", "token", "email") else value for key, value in line.items()}


json_log = structlog.wrap_logger(
    structlog.PrintLogger(),
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", key="ts"),
        without_secrets,
        structlog.processors.JSONRenderer(default=str),
    ],
)

with structlog.contextvars.bound_contextvars(request_id="r-17", email="ada@example.org"):
    json_log.warning("login refused", password="hunter2", tries={1, 2})

# %% [markdown]
# Three more rules from practice:
#
# * **Don't block the loop.** A handler that writes to a slow disk blocks the event loop and every request with it. The
#   standard library's `QueueHandler` hands the lines to a thread instead.
# * **Don't log every attempt.** If each attempt of a retry gets a line, an outage fills the disk just when you need
#   the log. Count the attempts, or log one in a hundred.
# * **Send the id along.** When a request goes through several services, its id travels in a header. The standard is
#   W3C Trace Context. Then you can put the lines of all services together.
#
# <details><summary>Code review: what else to say about the listing</summary>
#
# * `skip(db)` keeps the database out of the span but leaves `id` in it. With `fields(user_id = %id)` the id is there
#   twice.
# * The listing logs the error *and* returns it. You counted the consequences above.
# * Every failure has the level error, even "no such user".
# * Each line has the user's name in plain text. An id would be enough, and the name behind an id can be
#   deleted on request.
# * `with_thread_ids(true)` adds a field to every line that tells you nothing in an asynchronous program.
# * The output is text for people, and nothing filters it by level or module. In production, write JSON, with a filter
#   that is set in the environment.
# </details>
#
# <details><summary>Code review: what the exercise's redaction doesn't catch</summary>
#
# * **Texts.** `log("error", "failed", exc=ValueError("bad password hunter2"))` writes the password, as part of
#   `error_msg`. So does an event such as `f"login of {email}"`. No filter by key can stop that.
# * **Nesting.** In `user={"email": ...}` the key is `user`. Real redactors walk through dicts and lists.
# * **Other names.** `Password`, `api_key` and `authorization` are written as they are.
# </details>
#
# <details><summary>Two questions to take with you</summary>
#
# 1. Why isn't `threading.local()` good enough for a request's id? *(All tasks of an event loop run in one thread. They
#    would share one value, and the last task to set it would win.)*
# 2. A request starts a background task that continues after the answer was sent. Which `request_id` do the task's lines
#    have? *(The request's: the context was copied when the task was created. Usually you want that, but not for a task
#    that runs for days.)*
# </details>
#
# <details><summary>For Rust readers</summary>
#
# | Rust | Python |
# |---|---|
# | `tracing::info!(user_id = 7, "found")` | `logger.info("found", user_id=7)` |
# | a span, `#[instrument]` | `bound_contextvars(...)`, or your `bind` |
# | the current span, entered at each poll | `contextvars`, switched by the loop at each step of a task |
# | `tokio::spawn(f.instrument(span))` | nothing: `create_task` copies the context |
# | `tracing_subscriber::fmt().json()` | `structlog.processors.JSONRenderer()` |
# | `tracing_appender::non_blocking` | `logging.handlers.QueueHandler` |
#
# Remember the fourth row: in Rust a spawned task has *no* parent span unless you attach one.
# </details>
