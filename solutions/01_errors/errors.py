# %% [markdown] lecture="Error Handling Fundamentals"
# # Errors
#
# **Who must decide about this failure?** A function that fails knows what went wrong. Its caller knows what to do about
# it: try again, answer with less, wake somebody up. Between the two stands one thing only, the error's *type*.
#
# About 20 minutes to read, 30 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import asyncio

from autograder import check
from faultlab import World, axes, error, live, ok, show, simulate
from faultlab.lanes import lanes
from faultlab.notebook import start
from faultlab.warmup import arrange, predict

start()

# %% [markdown]
# ## A puzzle: the crawler that set off the alarm
#
# A search engine's crawler asks our small service for users whose accounts were deleted long ago. The database is well;
# each of these requests should end in a friendly "404, no such user". Instead the database gets far more queries
# than there are requests, and before long somebody's phone rings.
#
# Here is the service, in the shape that the lecture gives it: whatever goes wrong with the database becomes one error.


# %%
class DatabaseError(Exception):
    """Something went wrong with the database: worth another try."""


async def fetch_or_fail(query, user_id):
    row = await query(user_id)
    if row is None:
        raise DatabaseError("no rows returned")  # what the library said when it found nothing
    return row


# %% [markdown]
# And here is a caller that does its duty: a database error may pass, so it tries up to four times.


# %%
async def patient(query, user_id):
    for attempt in range(4):
        try:
            return await fetch_or_fail(query, user_id)
        except DatabaseError:
            if attempt == 3:
                raise
        await asyncio.sleep(0.1 * 2**attempt)


# %% [markdown]
# The crawler asks for three users that aren't there. **Before you open the picture:** how many queries does the
# database see?


# %%
async def crawl(query):
    for user_id in (404_001, 404_002, 404_003):
        try:
            await patient(query, user_id)
        except DatabaseError:
            pass  # here the alarm counts one


def crawled():
    world = World()
    query = world.service("database", lambda call: ok(None), latency=0.02)
    return simulate(crawl(query.for_lane("crawler")), world=world).timeline


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def crawled_picture():
    return lanes(crawled(), title="Twelve well-answered queries for three users who don't exist", until=2.4)


predict(
    "Three requests for users that don't exist: how many queries?",
    [3, 4, 6, 12],
    lambda: len(crawled().calls("database")),
    why="Each request is tried four times, and each try finds nothing again.",
    picture=lambda said: crawled_picture(),
)

# %%
show(crawled_picture(), fold="What happens")

# %% [markdown]
# Look at the colours: not one of the twelve queries failed. The database answered each of them correctly: "nobody". The
# mistake was made where that *answer* was turned into the *failure* of a database, and after that nobody further up could
# tell one from the other. The retry did its duty, the alarm did its duty, and both were wrong.
#
# > **An error's type is a policy.** It says what may be done about it; the text in it is for people.

# %% [markdown] lecture="Result Types in Async Functions"
# ## The lecture's first listing: a type for each kind of failure
#
# In Rust a function returns `Result<String, ServiceError>`, and `ServiceError` is an enum. In Python it raises, and the
# enum's variants are classes under one parent. The listing, with the same four kinds:


# %% lecture="ServiceError"
class LectureServiceError(Exception):
    """The parent: `except LectureServiceError` catches every kind."""


class NetworkError(LectureServiceError):
    def __str__(self):
        return f"Network error: {self.args[0]}"


class RequestTimeout(LectureServiceError):
    def __str__(self):
        return "Request timed out"


class InvalidResponse(LectureServiceError):
    def __str__(self):
        return "Invalid response"


class ResourceNotFound(LectureServiceError):
    def __str__(self):
        return "Resource not found"


# %% lecture="fetch_data"
async def lecture_fetch_data(id):
    if id == 0:
        raise ResourceNotFound()
    return f"Data for ID {id}"


print(await lecture_fetch_data(7))
try:
    await lecture_fetch_data(0)
except LectureServiceError as problem:
    print(f"{type(problem).__name__}: {problem}")

# %% [markdown]
# That is a good start: a caller can already tell "not found" from "timed out" without reading texts. What is missing is
# the policy itself. Two facts per class are enough for everything that this course will do with errors:


# %%
class Policy(Exception):
    retryable = False  # may the same request be sent again?
    status = 500  # what an HTTP client is told


class Missing(Policy):
    status = 404


class Overloaded(Policy):
    retryable, status = True, 503


for kind in (Policy, Missing, Overloaded):
    print(f"{kind.__name__:10}  again: {'yes' if kind.retryable else 'no':3}  status: {kind.status}")

# %% [markdown]
# Now the patient caller needs one line, `if not problem.retryable: raise`, and the crawler costs three queries instead of
# twelve. It needn't know any of the classes by name.

# %% [markdown] lecture="Using thiserror for Custom Errors"
# ## The lecture's second listing: translating at the boundary
#
# A service talks to a database, and the database's library has errors of its own. Whoever calls the service shouldn't have
# to know them: they are *translated* where the library is called, and only there. The lecture lets a macro do it, which
# turns **every** error of the library into one of ours. In Python, over a real SQLite database in memory:

# %% lecture="ApiError"
import aiosqlite


class LectureApiError(Exception):
    pass


class LectureDatabaseProblem(LectureApiError):
    def __str__(self):
        return f"Database error: {self.__cause__}"


# %% lecture="get_user, over a database"
async def fetch_one(connection, sql, params):
    """What sqlx's fetch_one does: no row is an error, too."""
    async with connection.execute(sql, params) as cursor:
        row = await cursor.fetchone()
    if row is None:
        raise LookupError("no rows returned by a query that expected to return at least one row")
    return row


async def lecture_get_user(connection, user_id):
    try:
        return await fetch_one(connection, "SELECT id, name FROM users WHERE id = ?", (user_id,))
    except Exception as problem:  # "#[from]": whatever it is
        raise LectureDatabaseProblem() from problem


# %% [markdown]
# This cell runs on the real clock, against a real database, with one user in it.


# %%
async def asked(user_ids):
    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        await connection.execute("INSERT INTO users VALUES (1, 'Ada')")
        for user_id in user_ids:
            try:
                print(user_id, "->", await lecture_get_user(connection, user_id))
            except LectureApiError as problem:
                print(user_id, "->", type(problem).__name__, "|", problem)


await asked([1, 2, "x'; DROP TABLE users"])

# %% [markdown]
# User 1 is found, and the strange third id does no harm: it went in as a *parameter*, not as a piece of SQL. But user 2,
# who simply isn't there, comes out as a problem of the database. That is our crawler again, and now we know in which line
# it happens.

# %% [markdown]
# ## What Python's own errors say
#
# To translate at the boundary you must know who is whose child. Three facts surprise nearly everybody:

# %%
print("TimeoutError is an OSError:      ", issubclass(TimeoutError, OSError))
print("ConnectionError is an OSError:   ", issubclass(ConnectionError, OSError))
print("CancelledError is an Exception:  ", issubclass(asyncio.CancelledError, Exception))

# %% [markdown]
# So `except OSError` catches timeouts, too, and the order in which the `except` lines stand decides. And `except Exception`
# doesn't catch a cancellation: `CancelledError` stands beside `Exception`, under `BaseException`, so that a program can be
# stopped from outside. Let it pass.
#
# ### Warm-up 1: put the lines in order
#
# These lines should print the most precise name there is for each error. A timeout is a timeout, a lost connection is a
# connection, anything else of the operating system is that.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
HANDLERS = [
    "except TimeoutError: said = 'timeout'",
    "except ConnectionResetError: said = 'reset'",
    "except ConnectionError: said = 'connection'",
    "except OSError: said = 'operating system'",
]
NAMES = {
    TimeoutError: "timeout",
    ConnectionResetError: "reset",
    BrokenPipeError: "connection",
    OSError: "operating system",
}


def said_of(handlers, kind):
    names = {"kind": kind}
    exec("try:\n    raise kind()\n" + handlers, names)
    return names["said"]


def first_wrong(handlers):
    for kind, name in NAMES.items():
        if (said := said_of(handlers, kind)) != name:
            return f"a {kind.__name__} is called {said!r}"
    return ""


arrange("In which order do these four lines tell the four kinds apart?", HANDLERS, first_wrong)

# %% [markdown]
# ## Nothing is lost on the way up
#
# Translating must not throw the original error away: at three in the morning somebody will want to know *why* the database
# was unavailable. `raise ... from ...` keeps it as the **cause**, and `add_note` adds what the original error can't know,
# such as whose user it was.


# %%
async def load(query, user_id):
    try:
        return await query(user_id)
    except ConnectionError as problem:
        problem.add_note(f"while loading user {user_id}")
        raise Overloaded("the database can't be reached") from problem


world = World()
query = world.service("database", [error("ConnectionError", "connection refused")], latency=0.02)
failed = simulate(load(query, 7), world=world, catch=True).error  # kept, not raised
print(repr(failed), "\n  caused by", repr(failed.__cause__), "\n  which notes", failed.__cause__.__notes__)

# %% [markdown]
# Three relations between errors exist, and they are easily mixed up. The picture shows one error that knows all three:

# %% tags=["plumbing"] jupyter={"source_hidden": true}
BOXES = {
    "raised": (0.30, 0.78, "Unavailable\n503, may be tried again"),
    "cause": (0.30, 0.22, "ConnectionError\nconnection refused"),
    "note": (0.78, 0.78, "note: while loading\nuser 7"),
    "context": (0.78, 0.22, "KeyError\nfrom a cache, before"),
}
ARROWS = [
    ("raised", "cause", "__cause__: raised from it"),
    ("raised", "note", "__notes__"),
    ("cause", "context", "__context__"),
]


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def draw_arrow(ax, start_at, end_at, words):
    (x0, y0, _), (x1, y1, _) = BOXES[start_at], BOXES[end_at]
    level = y0 == y1
    apart = 84 if level else 30  # points from a box's middle to its edge
    arrow = {"arrowstyle": "-|>", "color": "#222222", "shrinkA": apart, "shrinkB": apart}
    ax.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
    ax.text(
        (x0 + x1) / 2 + (0 if level else 0.02),
        (y0 + y1) / 2 + (0.10 if level else 0),
        words,
        fontsize=9,
        ha="center" if level else "left",
    )


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def chain():
    fig, ax = axes("One error, and what it knows", width=7.2, height=3.0)
    ax.axis("off")
    for arrow in ARROWS:
        draw_arrow(ax, *arrow)
    for x, y, words in BOXES.values():
        box = {"boxstyle": "round,pad=0.5", "fc": "white", "ec": "#0072B2"}
        ax.text(x, y, words, ha="center", va="center", fontsize=10, bbox=box)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    return fig


show(
    chain(),
    alt="Unavailable has an arrow named cause to ConnectionError and one named notes to 'while loading user 7'; "
    "ConnectionError has an arrow named context to a KeyError that was being handled when it came up.",
)

# %% [markdown]
# * `__cause__`: this error was raised **from** that one. You said so.
# * `__context__`: this one came up **while** that one was being handled. Python says so, and nobody meant anything by it.
# * `__notes__`: lines that were added on the way.

# %% [markdown]
# ## asyncio you need: one of many fails
#
# `asyncio.TaskGroup` runs several coroutines side by side and waits for all of them. When one fails, it cancels the others,
# waits until they are gone, and raises an **`ExceptionGroup`**: a bag with every error that came up, even if it is only one.


# %% cover="true"
async def all_three(query):
    async with asyncio.TaskGroup() as group:
        for user_id in (1, 2, 3):
            group.create_task(query(user_id), name=f"user {user_id}")


def three():
    world = World()
    waits = {1: 0.5, 2: 0.2, 3: 0.8}
    query = world.service("database", lambda call: (error if call.args[0] == 2 else ok)(after=waits[call.args[0]]))
    return simulate(all_three(query), world=world, catch=True)


run = three()
show(run.timeline, title="User 2 fails at 0.2 s: the others are given up at once", until=0.9)
print(repr(run.error))

# %% [markdown]
# `asyncio.gather`, the older way, differs in both: the first error comes out bare, and nobody is cancelled.
#
# ### Warm-up 2: who catches it?


# %%
async def caught_by():
    try:
        await all_three(three_times_missing)
    except LookupError:
        return "except LookupError"
    except ExceptionGroup as group:
        return f"except ExceptionGroup, with {len(group.exceptions)} error(s) in it"


async def three_times_missing(user_id):
    await asyncio.sleep(user_id / 10)
    raise LookupError(user_id)


# %% tags=["plumbing"] jupyter={"source_hidden": true}
predict(
    "All three users are missing, the first is noticed after 0.1 s. Which line of caught_by catches what comes out?",
    [
        "except LookupError",
        "except ExceptionGroup, with 1 error(s) in it",
        "except ExceptionGroup, with 3 error(s) in it",
    ],
    lambda: simulate(caught_by()).value,
    why="The other two were cancelled before they could fail, and the group is there even around one error. "
    "`except* LookupError` would look into it.",
)

# %% [markdown]
# ## From failure to policy, in one table
#
# This is the table that the exercise asks you to write as code. Read it by rows: what came up, what it becomes, and what
# follows from that. The last two rows are not translated at all, and that is a decision, too: a bug should be loud, and a
# cancellation isn't an error. (What a breaker counts is a matter of notebook 03, log levels of 08.)

# %% tags=["plumbing"] jupyter={"source_hidden": true}
ROWS = [
    ("no row", "NotFound", "no", "404", "no", "info"),
    ("an id that is none", "InvalidInput", "no", "400", "no", "info"),
    ("TimeoutError", "DeadlineExceeded", "yes", "504", "yes", "warning"),
    ("ConnectionError", "Unavailable", "yes", "503", "yes", "warning"),
    ("sqlite3.OperationalError", "Unavailable", "yes", "503", "yes", "warning"),
    ("KeyError, IntegrityError", "stays as it is", "no", "500", "no", "error"),
    ("CancelledError", "stays as it is", "no", "(none)", "no", "(none)"),
]
# %% tags=["plumbing"] jupyter={"source_hidden": true}
HEADS = ("what came up", "becomes", "again?", "status", "breaker counts?", "log level")


def policy_table():
    fig, ax = axes("An error's type is a policy", width=7.6, height=2.9)
    ax.axis("off")
    colours = {"yes": "#F7DCC4", "no": "#FFFFFF"}
    table = ax.table(
        [list(row) for row in ROWS],
        colLabels=HEADS,
        loc="center",
        cellLoc="left",
        colWidths=[0.25, 0.2, 0.1, 0.1, 0.18, 0.14],
        cellColours=[[colours.get(word, "#FFFFFF") for word in row] for row in ROWS],
    )
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    table.scale(1, 1.35)
    for (row, _), cell in table.get_celld().items():
        cell.set_edgecolor("#BBBBBB")
        cell.set_text_props(weight="bold" if row == 0 else "normal")
    return fig


show(
    policy_table(),
    alt="A table: " + "; ".join(f"{row[0]} becomes {row[1]}, again {row[2]}, status {row[3]}" for row in ROWS),
)

# %% [markdown]
# ## Exercise: `get_user` and `get_users`
#
# *5 points.* These definitions are given:

# %% toolkit="true"
import contextlib


class ServiceError(Exception):
    """The parent of all our errors: what may be done about them."""

    retryable = False
    status = 500


class NotFound(ServiceError):
    status = 404

    def __init__(self, resource, key):
        super().__init__(f"{resource} {key!r} not found")
        self.resource, self.key = resource, key


class InvalidInput(ServiceError):
    status = 400


class Unavailable(ServiceError):
    retryable, status = True, 503


class DeadlineExceeded(ServiceError):
    retryable, status = True, 504


# %% [markdown]
# `InvalidInput`, `Unavailable` and `DeadlineExceeded` take a message: `Unavailable("no connection")`. (This
# `DeadlineExceeded` is a service error; the notebook on timeouts has another class of that name.)
#
# The database is an object with one method: `await db.fetch_one(sql, params)` gives a row as a tuple, or `None`.
#
# Write two coroutine functions.
#
# **`get_user(db, user_id)`** returns `{"id": ..., "name": ...}` from `SELECT id, name FROM users WHERE id = ?`.
#
# * The id goes in as a parameter. No row is `NotFound("user", user_id)`.
# * Only a positive `int` is an id. Anything else (`True`, `2.0` and `"7"` too) is `InvalidInput`, before the database is
#   asked.
# * A `TimeoutError` becomes `DeadlineExceeded`; a `ConnectionError` or a `sqlite3.OperationalError` becomes `Unavailable`.
#   Both are raised `from` the original, and a note on either of the two carries the id.
# * Everything else passes through as it is: bugs (`KeyError`, `sqlite3.IntegrityError`) and cancellation.
#
# **`get_users(db, ids)`** returns a list of such dicts, in the order of `ids`, and asks for all of them at once. When one
# fails, the others are cancelled and an `ExceptionGroup` comes out, even around a single error.

# %%
import asyncio
import sqlite3


# %% exercise="errors"
async def get_user(db, user_id):
    """One user as {"id": ..., "name": ...}; failures translated as the table says."""
    ### BEGIN SOLUTION
    if isinstance(user_id, bool) or not isinstance(user_id, int) or user_id <= 0:
        raise InvalidInput(f"a user's id is a positive number, not {user_id!r}")
    try:
        row = await db.fetch_one("SELECT id, name FROM users WHERE id = ?", (user_id,))
    except TimeoutError as error:
        error.add_note(f"while asking for user {user_id}")
        raise DeadlineExceeded("the database took too long") from error
    except (ConnectionError, sqlite3.OperationalError) as error:
        error.add_note(f"while asking for user {user_id}")
        raise Unavailable("the database can't be reached") from error
    if row is None:
        raise NotFound("user", user_id)
    return {"id": row[0], "name": row[1]}
    ### END SOLUTION


async def get_users(db, ids):
    """The users of all these ids, in their order, asked for at once."""
    ### BEGIN SOLUTION
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(get_user(db, user_id)) for user_id in ids]
    return [task.result() for task in tasks]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: where to begin</summary>
#
# Three steps, in this order: is the id one at all? Ask the database. Is there a row? Get the first behaviour green before
# you translate anything.
# </details>
#
# <details><summary>Hint 2: what to catch</summary>
#
# Only the `fetch_one` line stands inside the `try`. Two `except` lines are enough: one for `TimeoutError`, one for a tuple
# of two classes. Neither of them names `Exception`. For the id, think of what `isinstance(True, int)` says.
# </details>
#
# <details><summary>Hint 3: the lines of a solution, shuffled</summary>
#
# ```
# raise NotFound("user", user_id)
# except (ConnectionError, sqlite3.OperationalError) as error:
# if row is None:
# raise DeadlineExceeded("...") from error
# tasks = [group.create_task(get_user(db, user_id)) for user_id in ids]
# row = await db.fetch_one("SELECT id, name FROM users WHERE id = ?", (user_id,))
# except TimeoutError as error:
# error.add_note(f"while asking for user {user_id}")
# async with asyncio.TaskGroup() as group:
# ```
# </details>

# %% [markdown]
# ## What practitioners meet
#
# Libraries that you will use have timeouts and connection errors of their own, and they are **not** children of Python's.
# A `retry_on=(ConnectionError, TimeoutError)` that is given their errors retries nothing, and nobody notices:

# %%
import httpx2
import sqlalchemy.exc

for kind in (httpx2.TimeoutException, httpx2.ConnectError, sqlalchemy.exc.TimeoutError):
    builtin = issubclass(kind, (TimeoutError, ConnectionError, OSError))
    print(f"{kind.__module__.split('.')[0]}.{kind.__name__}: one of Python's own? {'yes' if builtin else 'no'}")

# %% [markdown]
# So the boundary is where you write down, once, what each library's errors mean for you. Everybody above it knows your own
# few classes only.
#
# <details><summary>Code review: what else the two listings would be told</summary>
#
# * `NetworkError(String)` keeps a text and throws the error away that it came from: nobody can later ask whether the
#   connection was reset or the name unknown.
# * `Timeout` exists twice, as a kind of our own and inside the library's error: one fact under two names, and callers will
#   look for one of them only.
# * The text of a database's error can hold SQL and values. Log it; don't send it to a client.
# * `NotFound` is declared, and no line of the listing ever makes one.
# </details>
#
# <details><summary>For Rust readers</summary>
#
# | Rust | Python |
# |---|---|
# | `enum ServiceError { ... }` | a parent class and children |
# | `impl Error for`, `source()` | `raise ... from ...`, `__cause__` |
# | `#[from]` and `?` | `except X as error: raise Y from error`, written out |
# | `anyhow::Context` | `error.add_note(...)` |
# | `try_join_all` | `asyncio.TaskGroup`; it collects every error, `try_join_all` returns the first |
# | `panic!` | a bug's exception that nobody catches |
# </details>
#
# <details><summary>Two questions to take along</summary>
#
# 1. A crawler asks for 10,000 missing ids and "no row" is a database error. Name three things that break. *(Each is
#    retried, so the load multiplies; a circuit breaker counts failures and opens; an alarm on server errors goes off.)*
# 2. What is lost by `raise Unavailable()` without `from`, inside an `except`? *(Only the intent: the first error is still
#    there as `__context__`. With `from None` it is hidden.)*
# </details>
