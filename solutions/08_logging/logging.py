# %% [markdown] lecture="Structured Logging"
# # Logging
#
# **Which request did this?** A service works on many requests at once, and its log is one stream of lines. A line that
# doesn't say whose it is tells you that something happened, and to nobody in particular.
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
# Three customers pay at about the same time, each with a voucher that may be used once. In the evening one voucher too
# many is missing from the books. One of the three had theirs taken off twice. Here is the code that did it, and the log
# that it wrote.


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
# Eleven lines, all of them true. **Before you go on:** whose voucher was taken off twice?

# %% tags=["plumbing"] jupyter={"source_hidden": true}
COLOURS = {"alice": "#0072B2", "bob": "#D55E00", "carol": "#009E73"}


def raw_and_grouped(log):
    fig, ax = axes("The same log: as it was written, and by whose it is", width=8.6, height=3.6)
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


# %%
predict(
    "Whose voucher was taken off twice?",
    ["alice's", "bob's", "carol's"],
    lambda: f"{next(name for name, text in day() if text == 'no answer, once more')}'s",
    why="You could only guess. The line 'no answer, once more' comes after three people began, and fits each of them.",
)

# %%
show(
    raw_and_grouped(day()),
    alt="Left, eleven lines in the order in which they were written, begins, takes the voucher off, and so on, without "
    "names. Right, the same lines in three columns: alice has three lines, carol three, and bob five, in which he "
    "takes the voucher off twice.",
    fold="What happened",
)

# %% [markdown]
# On the right nothing was added but the name. The voucher *was* taken off at bob's first call; only the answer was
# lost, and the second call took it off again.
#
# > **Every line says whose it is, and nobody has to remember to say it.**
#
# The second half matters as much as the first. Passing a name to each function that might want to log changes every
# signature, and the one place that forgets it is where you will look.
#
# ## The pattern: a variable that belongs to the task
#
# A `ContextVar` is a variable with a value for each task. You set it once, where the request begins; whatever runs on
# behalf of this request reads it.

# %%
customer_now = contextvars.ContextVar("customer_now", default="nobody")


def said(text):
    print(json.dumps({"event": text, "customer": customer_now.get()}))


async def one_customer(name, vouchers):
    customer_now.set(name)  # once, at the door
    await checkout(said, vouchers.for_lane(name))  # `checkout` is as it was: it knows of no customer


async def two_customers(vouchers):
    await asyncio.gather(one_customer("alice", vouchers), one_customer("bob", vouchers))


world, vouchers = shop()
_ = simulate(two_customers(vouchers), world=world)

# %% [markdown]
# `bob` is set after `alice`, and still no line has the wrong name: `gather` makes a task of each coroutine, and each
# task has a value of its own.
#
# Each line is now one object of JSON: an *event*, which is the same text each time, and *fields* for all that varies.
# "User 7 not found after 0.3 s" has to be taken apart by a regular expression; `event="not found", user=7, after=0.3`
# can be counted, filtered and grouped as it is. That is all that **structured** means.

# %% [markdown] lecture="init_tracing"
# ## The lecture's listing, with structlog
#
# The lecture uses `tracing`; in Python the same ideas are in `structlog`. A logger is a chain of small functions, the
# *processors*: each takes the line as a dict and hands it on, the last one writes it out. The lecture's set-up asks for
# the level and for the number of the thread:

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
# `#[instrument]` opens a *span*: while `get_user` runs, each line has its arguments and the fields named there.
# `bound_contextvars` does that, with context variables like ours.


# %% lecture="get_user, traced"
class LectureApiError(Exception):
    """What the caller of lecture_get_user is told."""


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
# It works as it was meant to: the lines are mixed, and each says whose it is. Two things in them are worth a second
# look. `id` and `user_id` are the same number, written twice into every line. And `thread` is the same everywhere:
# all three requests share one thread, so its number tells nothing. In Rust it would be worse, since a task may wander
# from thread to thread between two lines. What tells requests apart is an id of the request.

# %% [markdown]
# ## One thing changes: somebody calls it
#
# A handler calls `lecture_get_user`, and being careful, it logs what goes wrong. So does the retry between the two.


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


# %%
predict(
    "User 2's database refuses each time. One request, three attempts: how many lines of level error?",
    [1, 3, 4, 7],
    lambda: len(errors_logged(careful_handler)),
    why="Each attempt is logged where it fails and where it is caught: six. Then the handler logs the request.",
)

# %% [markdown]
# Whoever counts errors in this log sees seven where one request failed. An alarm set to five a minute rings for a
# single user.
#
# > **Log an error or raise it. Who handles it logs it, once.**
#
# ### Warm-up 1: mend the double line
#
# Change the function in this cell, so that a failure has **one** line of level error, a success has none, and the error
# still reaches the handler with its cause. Run it again and see.


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
    return "" if failed == ["request failed"] else f"one failed request, and these error lines: {', '.join(failed)}"


_ = mended(
    still_wrong,
    well="One failure, one line, written by the one who decided what to do about it.",
    hint="Which of the two knows that nobody will try again? The other one only raises. What it knew beside, the id, "
    "may go along with the error, as a note or in its text.",
)

# %% [markdown]
# ## asyncio you need: the context is copied when a task begins
#
# `asyncio.create_task` gives the new task a **copy** of the context as it is at this moment. (So do `gather` and
# `TaskGroup`, which make tasks.) From there on the two go separate ways: what the child sets, the parent doesn't see,
# and the other way round.

# %% cover="true"
job = contextvars.ContextVar("job", default="none")


async def copied_child():
    mark("job", job.get())
    await asyncio.sleep(0.2)
    job.set("child's own")
    mark("job", job.get())


async def copied_parent():
    job.set("A")
    task = asyncio.create_task(copied_child(), name="child")
    await asyncio.sleep(0.1)
    job.set("B")
    mark("job", job.get())
    await task
    mark("job", job.get())


show(
    simulate(copied_parent()).timeline,
    title="Child begins with A; B and the child's own value stay where they were set",
)

# %% [markdown]
# One trap is in the word *copy*. What is copied is which object each variable holds, not the object. If it holds a
# dict and somebody changes that dict, all tasks that hold it see the change. So the dict in a context variable is
# never changed: a new one takes its place, and `reset` brings the old one back.

# %%
fields_now = contextvars.ContextVar("fields_now", default={})  # noqa: B039 -- never changed in place

earlier = fields_now.set({**fields_now.get(), "tenant": "north"})  # a new dict
print("inside: ", fields_now.get())
fields_now.reset(earlier)
print("outside:", fields_now.get())

# %% [markdown]
# ### Warm-up 2: predict the context


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


predict(
    "Both tasks read the variable when all three values have been set. What do the three readers see?",
    ["A B C", "B B C", "C C C", "A B A"],
    lambda: simulate(three_readers()).value,
    why="What counts is when a task is made, not when it runs. A plain `await` makes no task.",
)

# %% [markdown]
# ## One line is enough
#
# Lines that say "begins", "fetching", "still here" help whoever writes the program. Whoever runs it asks other
# questions: how many requests failed, how long do they take, for which customers? For that **one line a request** is
# enough, written at its end, with all that was learnt on the way. It is called the *canonical log line*; the name and
# the habit became known through Stripe's engineering blog ("Fast and flexible observability with canonical log
# lines", 2019).
#
# Here is the evening in the shop once more. `checkout` is the same; what it says is counted instead of written.


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
# Three lines instead of eleven, and `voucher_calls` greater than 1 is the answer to the detective's question, for this
# evening and for every other one.
#
# Which **level** does such a line have? The one that says who should care. A user who asks for a page that doesn't
# exist has made the mistake: nobody of ours need get up. A database that is gone is our mistake. HTTP's numbers
# already make this difference: below 500 it is the client's, from 500 on it is ours. An error without a status is a
# bug: ours.
#
# And some values belong in no line at all. A log is copied, searched, kept for years and read by many; a password in it
# is a password published. Such fields are **redacted** in the one place where every line passes, since each other place
# will be forgotten one day.
#
# Keep in mind one more end that a request can have. When its caller goes away, the task is cancelled, and
# `except Exception` sees nothing of it, because `CancelledError` isn't an `Exception`. Its line is missing unless
# somebody thought of it.

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
# * The line has `ts` (the time, as you like), `level`, `event`, what is bound at this moment, and the fields.
# * With `exc` it also has `error`, the name of the exception's class, and `error_msg`, its text.
# * A value that JSON knows nothing of doesn't break it: write it as text.
# * The values of `password`, `token` and `email` (just these keys, in lower case) are redacted, wherever they come
#   from: the raw value stands nowhere in the line.
#
# **`with bind(**fields):`** adds the fields to every line that is logged in the block.
#
# * Blocks nest; an inner one adds to the outer one, and may bind a name anew. After a block all is as it was before,
#   after an error too, which goes on its way.
# * The fields reach child tasks that are made in the block, and those of concurrent tasks never mix.
#
# **`await serve(logger, request_id, handler)`** awaits `handler()` with `request_id` bound, and returns its result.
#
# * It logs exactly one line with the event `request_done`, with `outcome` (`"ok"`, `"error"` or `"cancelled"`) and
#   `duration` in seconds, `request_id` still bound.
# * The handler's exception passes unchanged.
# * The level is `info`; after an exception it is `warning` if the exception has a `status` below 500, otherwise
#   `error`.
# * A cancelled request has its line, too, with a level below `error`. The cancellation goes on.
#
# No field will be called `event` or `level`.


# %% exercise="logging"
class Logger:
    """Writes one line of JSON for each call of `log`, to `sink(line)`."""

    def __init__(self, sink):
        self.sink = sink

    def log(self, level, event, exc=None, **fields):
        """One line: ts, level, event, what is bound, the fields; secrets hidden."""
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
    """Within the block, every line of this task and of its child tasks has these fields."""
    ### BEGIN SOLUTION
    before = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(before)
    ### END SOLUTION


async def serve(logger, request_id, handler):
    """What `handler()` gives, with request_id bound and one request_done line at the end."""
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
# Begin with `log` alone: build a dict, write it with `json.dumps(line, default=str)`, give it to the sink. With `exc`
# added, the second and third behaviour are green. The redaction is the last step before writing. `bind` comes next
# (as long as it doesn't `yield`, most checks end with a `TypeError`), and `serve` needs both.
# </details>
#
# <details><summary>Hint 2: the context, and the three ends</summary>
#
# One module-level `ContextVar` that holds a dict. `bind` sets a *new* dict and resets in a `finally`. `log` reads it.
#
# In `serve` there are three ends to write a line at: the result, `asyncio.CancelledError`, `Exception`. The last two
# re-raise with a bare `raise`. All of it stands within `with bind(request_id=request_id):`. For the level,
# `getattr(exc, "status", 500)` spares you a case.
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
# `structlog` has a processor for each of these steps, and lets you add your own. This chain is most of the exercise:


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
# Three more things that they do. A handler that writes to a slow disk blocks the event loop and every request with it:
# the standard library's `QueueHandler` hands lines to a thread instead. In a retry's loop not every attempt gets a
# line, or an outage fills the disk just when you need it: count them, or write one in a hundred. And when a request
# goes through several services, its id travels in a header (the standard is W3C Trace Context), so that the lines of
# all of them can be put together.
#
# <details><summary>Code review: what else the listing would be told</summary>
#
# * `skip(db)` keeps the database out of the span and leaves `id` in it; with `fields(user_id = %id)` it is there twice.
# * It logs the error *and* returns it. We counted what comes of that.
# * Every failure has level error, "no such user" too.
# * The name of the user stands in clear in each line. An id would do, and can be forgotten on request.
# * `with_thread_ids(true)` costs a field in every line and tells nothing in an asynchronous program.
# * The output is text for people, and nothing filters it by level or module; in production it is JSON, with a filter
#   from the environment.
# </details>
#
# <details><summary>Two questions to take along</summary>
#
# 1. Why does `threading.local()` not do for a request's id? *(All tasks of an event loop run in one thread: they would
#    share one value, and the last one to set it wins.)*
# 2. A request starts a background task that goes on after the answer was sent. Which `request_id` do its lines have?
#    *(The request's: the context was copied when the task was made. Mostly that is what you want; for a task that lives
#    for days it isn't.)*
# </details>
#
# <details><summary>For Rust readers</summary>
#
# | Rust | Python |
# |---|---|
# | `tracing::info!(user_id = 7, "found")` | `logger.info("found", user_id=7)` |
# | a span, `#[instrument]` | `bound_contextvars(...)`, or your `bind` |
# | the current span, entered at each poll | `contextvars`, switched by the loop at each step of a task |
# | `tokio::spawn(f.instrument(span))` | nothing to do: `create_task` copies the context |
# | `tracing_subscriber::fmt().json()` | `structlog.processors.JSONRenderer()` |
# | `tracing_appender::non_blocking` | `logging.handlers.QueueHandler` |
#
# The fourth row is the one to remember: in Rust a spawned task has *no* parent span unless you attach it.
# </details>
