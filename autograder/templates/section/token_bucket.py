# %% [markdown]
# # Token bucket
#
# **How do I let a burst through and still keep to a rate?** Ten requests at once are fine now and then; ten a second
# all day are not. About 10 minutes of reading and trying, and 20 for the exercise.
#
# <!-- AUTHOR: one question, who has it, and how long it takes. Remove these notes when you have followed them. -->

# %% tags=["plumbing"] jupyter={"source_hidden": true}
from autograder import check
from faultlab import World, show, simulate
from faultlab.notebook import start

start()

# %%
import asyncio

# %% [markdown]
# ## An incident: eight at once
#
# An address service allows us five requests a second on average, and a burst of three. Our page sends eight at once.
# How many of them arrive together?
#
# <!-- AUTHOR: a figure answers a question that stands just above it. Cells have 30 lines at most. -->


# %%
def eight_at_once():
    world = World()
    addresses = world.service("addresses", latency=0.1)

    async def page():
        await asyncio.gather(*(addresses(number) for number in range(8)))

    return simulate(page(), world=world)


show(eight_at_once().timeline)

# %% [markdown]
# All eight. A token bucket lets three of them go, and one more every 0.2 seconds.
#
# ## Exercise: a token bucket
#
# Write `TokenBucket(rate, burst)`. This is its whole contract:
#
# * **Tokens.** A new bucket holds `burst` tokens. `rate` tokens a second flow in, evenly, and it never holds more than
#   `burst`.
# * **`try_acquire(n=1)`** takes `n` tokens and returns `True` if the bucket holds so many. Otherwise it takes none and
#   returns `False`.
# * **`await acquire(n=1)`** returns as soon as it could take `n` tokens. Callers are served in the order in which they
#   came, whatever they want.
#
# **Promised**: `rate` is positive, `n` is at most `burst`, and no caller is cancelled while it waits. A test calls
# `try_acquire` or `acquire` of one bucket, never both. `asyncio` is imported.
#
# <!-- AUTHOR: the contract says everything that a test looks at, and what is left open. -->


# %% exercise="token_bucket"
class TokenBucket:
    """At most `burst` tokens; `rate` more of them flow in each second."""

    def __init__(self, rate: float, burst: float):
        ### BEGIN SOLUTION
        self._rate, self._burst = rate, burst
        self._tokens, self._looked = burst, asyncio.get_running_loop().time()
        self._turn = asyncio.Lock()
        ### END SOLUTION

    def try_acquire(self, n: int = 1) -> bool:
        """Take `n` tokens if the bucket holds so many, and say whether it did."""
        ### BEGIN SOLUTION
        enough = self._filled() >= n
        if enough:
            self._tokens -= n
        return enough
        ### END SOLUTION

    async def acquire(self, n: int = 1) -> None:
        """Wait for `n` tokens, first come, first served, and take them."""
        ### BEGIN SOLUTION
        async with self._turn:
            missing = n - self._filled()
            if missing > 0:
                await asyncio.sleep(missing / self._rate)
            self._filled()
            self._tokens -= n

    def _filled(self):
        """The tokens that it holds now."""
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._burst, self._tokens + (now - self._looked) * self._rate)
        self._looked = now
        return self._tokens
        ### END SOLUTION


# %% [markdown]
# <details><summary>Hint 1: nothing has to run in the background</summary>
#
# A bucket needs no task that fills it. Remember when you last looked: what has flowed in since then is a multiplication.
# </details>
#
# <details><summary>Hint 2: how long to wait</summary>
#
# `n - tokens` are missing, and `rate` of them come each second.
# </details>
#
# <details><summary>Hint 3: one after the other</summary>
#
# A caller that wants three tokens mustn't be overtaken by one that wants a single one. An `asyncio.Lock` around the wait
# lets callers in one by one, in the order in which they came.
# </details>
#
# <!-- AUTHOR: three hints: where to look, the idea, almost the code. -->
