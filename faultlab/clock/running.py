"""Run a coroutine on a virtual loop, to its end or in parts."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from faultlab.clock.insides import detached
from faultlab.clock.loop import T, VirtualLoop
from faultlab.clock.patches import installed
from faultlab.clock.where import drop_library_frames


def run_virtual(loop: VirtualLoop, main: Coroutine[Any, Any, T], *, name: str | None = None) -> T:
    """Run a coroutine to its end on a virtual loop, whether or not a loop is already running in this thread.

    loop: a new one; it is closed afterwards, and what is left of its tasks is cancelled.
    main: the coroutine.
    name: its task's, and so its lane's; an empty one keeps it out of the pictures.

    Returns what `main` returns. Raises what it raises, or a SimulationError when it can't end.

    >>> async def main():
    ...     await asyncio.sleep(30)
    ...     return asyncio.get_running_loop().time()
    >>> run_virtual(VirtualLoop(), main())
    30.0
    """
    with installed():
        try:
            return run_part(loop, main, name=name)
        finally:
            loop.clean_up()


def run_part(loop: VirtualLoop, main: Coroutine[Any, Any, T], *, name: str | None = None) -> T:
    """Run `main` to its end as `run_virtual` does, and keep the loop: its clock and its other tasks go on with the
    next part. After an error that isn't `main`'s own, `loop.recover()` comes first.
    """
    loop.threads = [thread for thread in loop.threads if thread.is_alive()]  # of an earlier part
    with detached():
        try:
            value: T = loop.run_until_complete(loop.create_task(main, name=name))
            if loop.limit_hit is not None:
                raise loop.limit_hit
            return value
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if loop.limit_hit is not None and error is not loop.limit_hit:
                raise loop.limit_hit from None
            drop_library_frames(error)
            raise
