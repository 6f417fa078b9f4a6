# %% [markdown] lecture="Error Handling Fundamentals"
# # Errors
#
# **Who must decide about this failure?** A function that fails knows what went wrong. Its caller knows what to do about
# it: try again, answer with less, wake somebody up. Only one thing connects the two: the error's *type*.
#
# About 20 minutes to read, 30 for the exercise.

# %% tags=["plumbing"] jupyter={"source_hidden": true}
import asyncio

from autograder import check
from faultlab import COLORS, World, axes, error, live, ok, show, simulate
from faultlab.lanes import lanes
from faultlab.notebook import start
from faultlab.warmup import arrange, predict

start()

# %% [markdown]
# ## A puzzle: the crawler that set off the alarm
#
# A search engine's crawler asks our small service for users whose accounts were deleted long ago. The database is well,
# and each of these requests should end in a friendly "404, no such user". Instead the database gets far more queries
# than there are requests, and before long somebody's phone rings.
#
# Here is the service, as the lecture writes it: everything that goes wrong with the database becomes one error.


# %%
class DatabaseError(Exception):
    """Something went wrong with the database: worth another try."""


async def fetch_or_fail(query, user_id):
    row = await query(user_id)
    if row is None:
        raise DatabaseError("no rows returned")  # what the library said when it found nothing
    return row


# %% [markdown]
# And here is a caller that does its duty: a database error may be transient, so it tries up to four times.


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
# The crawler asks for three users that don't exist. **How many queries does the database see?**


# %%
async def crawler(query):
    for user_id in (404_001, 404_002, 404_003):
        try:
            await patient(query, user_id)
        except DatabaseError:
            pass  # here the alarm counts one more


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def crawled():
    world = World()
    query = world.service("database", lambda call: ok(None), latency=0.02)
    return simulate(crawler(query), world=world).timeline


predict(
    "Three requests for users that don't exist: how many queries?",
    [3, 4, 6, 12],
    lambda: len(crawled().calls("database")),
    why="Each request is tried four times, and each try finds nothing again.",
    picture=lambda said: lanes(crawled(), title="Three missing users: how many queries, and which fail?", until=2.4),
)

# %% [markdown]
# Look at the colours: not a single query failed. The database answered each of them correctly: "nobody". The mistake was
# made where that *answer* was turned into a *failure* of the database. After that, no caller could tell one from the
# other. The retry did its duty, the alarm did its duty, and both were wrong.
#
# > **An error's type is a policy.** It says what may be done about the error; the text in it is for people.

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
# That is a good start: a caller can already tell "not found" from "timed out" without reading texts. The policy itself is
# still missing. Two facts per class are enough for everything that this course will do with errors:


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
# Now the patient caller needs one line, `if not problem.retryable: raise`, and the crawler costs one query for each
# request. The caller needn't know any of the classes by name.

# %% [markdown] lecture="Using thiserror for Custom Errors"
# ## The lecture's second listing: translating at the boundary
#
# A service talks to a database, and the database's library has errors of its own. Callers of the service shouldn't have to
# know these errors: they are *translated* where the library is called, and only there. The lecture leaves that to a
# macro, which turns **every** error of the library into one of ours. In Python, over a real SQLite database in memory:

# %% lecture="ApiError"
import aiosqlite


class LectureApiError(Exception):
    pass


class LectureDatabaseProblem(LectureApiError):
    def __str__(self):
        return f"Database error: {self.__cause__}"


# %% lecture="get_user, over a database"
async def fetch_one(connection, sql, params):
    """Do what sqlx's fetch_one does: no row is an error too."""
    async with connection.execute(sql, params) as cursor:
        row = await cursor.fetchone()
    if row is None:
        raise LookupError("no rows returned by a query that expected to return at least one row")
    return row


async def lecture_get_user(connection, user_id):
    try:
        return await fetch_one(connection, "SELECT id, name FROM users WHERE id = ?", (user_id,))
    except Exception as problem:  # "#[from]": every error
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
# User 1 is found, and the strange third id does no harm, because it was passed as a *parameter* and not as a piece of SQL.
# But user 2, who simply doesn't exist, is reported as a problem of the database. That is our crawler again, and now we
# know in which line it happens.

# %% [markdown]
# ## What Python's own errors say
#
# To translate at the boundary you must know which error is a subclass of which. Three facts surprise nearly everybody:

# %%
print("TimeoutError is an OSError:      ", issubclass(TimeoutError, OSError))
print("ConnectionError is an OSError:   ", issubclass(ConnectionError, OSError))
print("CancelledError is an Exception:  ", issubclass(asyncio.CancelledError, Exception))

# %% [markdown]
# So `except OSError` catches timeouts too, and the order of the `except` lines decides. And `except Exception` doesn't
# catch a cancellation: `CancelledError` stands beside `Exception`, under `BaseException`, so that a task can be stopped
# from outside. Let it pass.
#
# ### Warm-up 1: put the lines in order
#
# These lines should find the most precise name for each error: "timeout" for a timeout, "reset" for a reset connection,
# "connection" for every other lost connection, and "operating system" for the rest.

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
# was unavailable. `raise ... from ...` keeps the original as the **cause**, and `add_note` adds what the original can't
# know, such as the user's id.


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
# An error can carry three things, which are easily mixed up. The picture shows all three:

# %% tags=["plumbing"] jupyter={"source_hidden": true}
BOXES = {
    "raised": (0.22, 0.8, "Unavailable\n503, may be tried again"),
    "cause": (0.22, 0.2, "ConnectionError\nconnection refused"),
    "note": (0.8, 0.2, "note: while loading\nuser 7"),
    "context": (0.8, 0.8, "KeyError\nfrom a cache, before"),
}
ARROWS = [  # from, to, the words and where they stand
    ("raised", "cause", "__cause__:\nraised from it", (0.2, 0.5, "right")),
    ("cause", "note", "__notes__", (0.51, 0.28, "center")),
    ("cause", "context", "__context__:\nbeing handled when it came up", (0.58, 0.47, "left")),
]


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def chain():
    fig, ax = axes("What does one error know about others?", width=7.2, height=3.0)
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    look = {"boxstyle": "round,pad=0.5", "fc": "white", "ec": COLORS["pale"]}
    boxes = {
        name: ax.text(x, y, words, ha="center", va="center", fontsize=10, bbox=look)
        for name, (x, y, words) in BOXES.items()
    }
    fig.draw_without_rendering()  # now the boxes have their sizes, and arrows can end at their edges
    for start_at, end_at, words, (x, y, side) in ARROWS:
        ends = {"patchA": boxes[start_at].get_bbox_patch(), "patchB": boxes[end_at].get_bbox_patch()}
        arrow = {"arrowstyle": "-|>", "color": COLORS["ink"], "shrinkA": 1, "shrinkB": 1, **ends}
        ax.annotate("", BOXES[end_at][:2], BOXES[start_at][:2], arrowprops=arrow)
        ax.text(x, y, words, fontsize=9, ha=side, va="center")
    return fig


show(
    chain(),
    alt="Unavailable has an arrow named cause to ConnectionError. ConnectionError has an arrow named notes to 'while "
    "loading user 7', and one named context to a KeyError that was being handled when it came up.",
)

# %% [markdown]
# * `__cause__`: this error was raised **from** that one. You said so.
# * `__context__`: this error came up **while** that one was being handled. Python sets it, and nobody meant anything by it.
# * `__notes__`: lines that were added on the way.

# %% [markdown]
# ## asyncio you need: one of several tasks fails
#
# `asyncio.TaskGroup` runs several coroutines side by side and waits for all of them. When one fails, it cancels the others,
# waits until they are gone, and raises an **`ExceptionGroup`**. This is a bag with every error that came up, even if there
# is only one.


# %%
async def all_three(query):
    async with asyncio.TaskGroup() as group:
        for user_id in (1, 2, 3):
            group.create_task(query(user_id), name=f"user {user_id}")


# %% tags=["plumbing"] jupyter={"source_hidden": true}
def three():
    world = World()
    waits = {1: 0.5, 2: 0.2, 3: 0.8}
    query = world.service("database", lambda call: (error if call.args[0] == 2 else ok)(after=waits[call.args[0]]))
    return simulate(all_three(query), world=world, catch=True)


# %% cover="true"
run = three()
show(run.timeline, title="User 2 fails at 0.2 s: what happens to the others?", until=0.9)
print(repr(run.error))

# %% [markdown]
# `asyncio.gather`, the older way, differs in both: the first error comes out bare, and no sibling is cancelled.
#
# ### Warm-up 2: which line catches it?


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
    "All three users are missing, and the first error comes after 0.1 s. Which line of `caught_by` catches what comes out?",
    [
        "except LookupError",
        "except ExceptionGroup, with 1 error(s) in it",
        "except ExceptionGroup, with 3 error(s) in it",
    ],
    lambda: simulate(caught_by()).value,
    why="The other two tasks were cancelled before they could fail, and a single error has a group around it too. "
    "`except* LookupError` would look inside the group.",
)

# %% [markdown]
# ## From failure to policy, in one table
#
# This is the table that the exercise asks you to write as code. Read it by rows: what came up, what it becomes, and what
# follows. The last two rows aren't translated at all, and that is a decision too: a bug should be loud, and a cancellation
# isn't an error.
#
# | what came up | becomes | again? | status | breaker counts it? | log level |
# |---|---|---|---|---|---|
# | no row | `NotFound` | no | 404 | no | warning |
# | an invalid id | `InvalidInput` | no | 400 | no | warning |
# | `TimeoutError` | `DeadlineExceeded` | **yes** | 504 | **yes** | error |
# | `ConnectionError` | `Unavailable` | **yes** | 503 | **yes** | error |
# | `sqlite3.OperationalError` | `Unavailable` | **yes** | 503 | **yes** | error |
# | `KeyError`, `sqlite3.IntegrityError` | stays as it is | no | 500 | no | error |
# | `CancelledError` | stays as it is | no | none | no | info |
#
# "Again" means that the same request may be sent again; if it changes something, it must be idempotent too (notebook 02).
# What a breaker counts is the subject of notebook 03. Log levels are the subject of 08: below status 500 the client made
# the mistake, from 500 on we did.

# %% [markdown]
# ## Exercise: `get_user` and `get_users`
#
# *5 points.* These definitions are given:

# %% toolkit="true"
import contextlib


class ServiceError(Exception):
    """The parent of all our errors. It says what may be done about them."""

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
# The database is an object with one method: `await db.fetch_one(sql, params)` returns a row as a tuple, or `None`.
#
# Write two coroutine functions.
#
# **`get_user(db, user_id)`** returns `{"id": ..., "name": ...}` from `SELECT id, name FROM users WHERE id = ?`.
#
# * The id is passed as a parameter. If there is no row, raise `NotFound("user", user_id)`.
# * Only a positive `int` is an id. Anything else (`True`, `2.0` and `"7"` too) raises `InvalidInput`, before the database
#   is asked.
# * A `TimeoutError` becomes `DeadlineExceeded`; a `ConnectionError` or a `sqlite3.OperationalError` becomes `Unavailable`.
#   The new error is raised `from` the original, and a note on one of the two carries the id.
# * Everything else propagates as it is: bugs (`KeyError`, `sqlite3.IntegrityError`) and cancellation.
#
# **`get_users(db, ids)`** returns a list of such dicts, in the order of `ids`, and asks for all of them at once. When one
# request fails, the others are cancelled and an `ExceptionGroup` comes out, even around a single error.

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
    """The users with these ids, in the order of the ids, asked for at once."""
    ### BEGIN SOLUTION
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(get_user(db, user_id)) for user_id in ids]
    return [task.result() for task in tasks]
    ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: where to begin</summary>
#
# Three steps, in this order: check the id, ask the database, check whether there is a row. Get the first behaviour green
# before you translate anything.
# </details>
#
# <details><summary>Hint 2: what to catch</summary>
#
# Only the `fetch_one` line stands inside the `try`. Two `except` lines are enough: one for `TimeoutError`, one for a tuple
# of two classes. Neither of them names `Exception`. For the id, remember what `isinstance(True, int)` says.
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
# Libraries that you will use have timeouts and connection errors of their own, and these are **not** subclasses of
# Python's. A retry that knows only `ConnectionError` and `TimeoutError` never retries them, and nobody notices:

# %%
import httpx2
import sqlalchemy.exc

for kind in (httpx2.TimeoutException, httpx2.ConnectError, sqlalchemy.exc.TimeoutError):
    builtin = issubclass(kind, (TimeoutError, ConnectionError, OSError))
    print(f"{kind.__module__.split('.')[0]}.{kind.__name__}: one of Python's own? {'yes' if builtin else 'no'}")

# %% [markdown]
# So the boundary is where you write down, once, what each library's errors mean for you. All code above the boundary knows
# only your own few classes.
#
# <details><summary>Code review: what else to say about the two listings</summary>
#
# * `NetworkError(String)` keeps a text and throws away the error that it came from. Later nobody can ask whether the
#   connection was reset or the name unknown.
# * `Timeout` exists twice, as a kind of our own and inside the library's error. That is one fact under two names, and callers
#   will look for only one of them.
# * The text of a database error can contain SQL and values. Log it, but don't send it to a client.
# * `NotFound` is declared, but no line of the listing ever raises it.
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
# | `try_join_all` | `asyncio.TaskGroup`; it collects every error, `try_join_all` returns the first one |
# | `panic!` | the uncaught exception of a bug |
# </details>
#
# <details><summary>Two questions</summary>
#
# 1. A crawler asks for 10,000 missing ids, and "no row" is a database error. Name three things that break. *(Each request
#    is retried, so the load multiplies; a circuit breaker counts failures and opens; an alarm on server errors goes off.)*
# 2. What does `raise Unavailable()` lose without `from`, inside an `except`? *(Only the intent: the first error is still
#    there as `__context__`. With `from None` it is hidden.)*
# </details>
