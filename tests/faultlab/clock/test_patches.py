"""Python's clocks are patched where a run needs it, and nowhere else; what was bound before is named."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from types import FunctionType, ModuleType
from typing import Any

import pytest

from faultlab import notebook, simulate
from faultlab.clock import install, installed, patches, uninstall
from faultlab.clock.bound import bound_before_line, clock_names_bound_before, rebind_clocks

PROLOGUE = """
import _thread, asyncio, concurrent.futures, queue, sys, threading, time

def places():
    clocks = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")
    return [
        *(getattr(time, name) for name in clocks),
        asyncio.run, asyncio.runners.run, asyncio.as_completed, asyncio.tasks.as_completed,
        asyncio.all_tasks, asyncio.tasks.all_tasks,
        threading.Thread.start, _thread.start_new_thread, threading.Condition.wait, threading._time,
        concurrent.futures.ThreadPoolExecutor.submit, queue.time, list(sys.meta_path),
    ]

def backend():
    import anyio._backends._asyncio
    return vars(anyio._backends._asyncio.AsyncIOBackend)["run_sync_in_worker_thread"]

standard = places()

async def naps():
    before = time.monotonic()
    await asyncio.sleep(3)
    time.sleep(4)
    return time.monotonic() - before, places() != standard
"""


def in_a_process_of_its_own(code: str) -> None:
    """Run `code` after PROLOGUE in a fresh interpreter; an assertion there fails here."""
    ended = subprocess.run(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def is_patched() -> bool:
    return isinstance(time.monotonic, FunctionType)


@pytest.fixture(autouse=True)
def bare():
    """Each test begins and ends without patches, whatever ran in this process before."""
    uninstall()
    yield
    uninstall()


class TestWhereTheyAre:
    def test_an_import_patches_nothing(self):
        """Importing the laboratory, its notebook's part or the autograder leaves Python as it is."""
        in_a_process_of_its_own(
            """
            import faultlab, faultlab.clock, faultlab.notebook, faultlab.scenario, faultlab.warmup
            import autograder, autograder.notebook.execution, autograder.sandbox.runner
            assert places() == standard
            """
        )

    def test_a_run_patches_for_as_long_as_it_lasts(self):
        """A run without `install` reads virtual time; afterwards everything is as it was, also after an error."""
        in_a_process_of_its_own(
            """
            from faultlab import DeadlockError, simulate
            from faultlab.clock import VirtualLoop, run_virtual

            assert simulate(naps).value == (7.0, True)
            assert places() == standard
            assert run_virtual(VirtualLoop(), naps()) == (7.0, True)
            assert places() == standard
            assert asyncio.Runner(loop_factory=VirtualLoop).run(naps()) == (7.0, True)
            assert places() == standard
            try:
                simulate(lambda: asyncio.Event().wait())
            except DeadlockError:
                assert places() == standard
            """
        )

    def test_uninstall_puts_back_what_was_there(self):
        """`install` and `uninstall` may be called again and again; a run in between changes nothing."""
        in_a_process_of_its_own(
            """
            from faultlab import simulate
            from faultlab.clock import install, uninstall

            uninstall()
            assert places() == standard
            for _ in range(2):
                install()
                install()
                assert places() != standard
                assert simulate(naps).value == (7.0, True)
                assert places() != standard
                uninstall()
                assert places() == standard
                uninstall()
            """
        )

    def test_anyio_is_given_back_too(self):
        """Whether it was imported before the patches, or while they were there."""
        in_a_process_of_its_own(
            """
            from faultlab.clock import install, uninstall

            install()
            patched = backend()
            uninstall()
            own = backend()
            assert own is not patched and isinstance(own, classmethod)
            install()
            assert backend() is not own
            uninstall()
            assert backend() is own and places() == standard
            """
        )


class TestInstalling:
    def test_without_a_virtual_loop_clocks_are_real(self):
        """Patched functions do what the standard ones do, in a thread as in a real loop."""
        install()
        before = time.monotonic_ns()
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(time.monotonic_ns()))
        thread.start()
        thread.join()
        asyncio.run(asyncio.sleep(0))
        assert before <= seen[0] <= time.monotonic_ns()

    def test_uses_may_be_nested(self):
        """The last user takes the patches along, and `install` keeps them."""
        with installed():
            with installed():
                pass
            assert is_patched()
        assert not is_patched()
        with installed():
            install()
        assert is_patched()

    def test_uninstalling_waits_for_users(self):
        """A run keeps the patches to its end."""

        async def main() -> float:
            uninstall()
            time.sleep(5)  # noqa: ASYNC251
            return time.monotonic()

        install()
        assert simulate(main).value == 5.0
        assert not is_patched()

    def test_two_threads_at_once(self):
        """One run's end takes nothing from another that is still going."""
        first_is_over, second_began = threading.Event(), threading.Event()
        seen: list[float] = []

        async def long() -> None:
            time.sleep(2)  # noqa: ASYNC251
            seen.append(time.monotonic())

        def second() -> None:
            with installed():
                second_began.set()
                first_is_over.wait(10)
                simulate(long)

        thread = threading.Thread(target=second)
        thread.start()
        second_began.wait(10)
        simulate(long)
        first_is_over.set()
        thread.join()
        assert seen == [2.0, 2.0]
        assert not is_patched()

    def test_the_same_functions_each_time(self):
        """What a module took during one run is virtual in the next one too, and may be put back by hand."""
        with installed():
            taken = time.monotonic
        with installed():
            assert time.monotonic is taken
        time.monotonic = taken
        with installed():
            assert time.monotonic() > 0
        assert not is_patched()

    def test_somebody_elses_patch_stays(self, monkeypatch):
        """A test's own clock is read where no virtual loop runs, and isn't lost."""
        monkeypatch.setattr(time, "time", lambda: 42.0)
        with installed():
            assert time.time() == 42.0
            assert simulate(asyncio.sleep(1)).timeline.duration == 1.0
        assert time.time() == 42.0
        with installed():
            monkeypatch.setattr(time, "time", lambda: 43.0)
        assert time.time() == 43.0

    def test_an_interrupt_in_the_middle(self, monkeypatch):
        """Patches that are half installed are completed by the next use."""

        def interrupt(real: Any) -> Any:
            raise KeyboardInterrupt

        whole = patches._PATCHES
        monkeypatch.setattr(patches, "_PATCHES", [*whole[:5], (time, "sleep", interrupt)])
        monkeypatch.setattr(patches, "_made", {})
        with pytest.raises(KeyboardInterrupt):
            install()
        monkeypatch.setattr(patches, "_PATCHES", whole)

        async def main() -> float:
            time.sleep(3)  # noqa: ASYNC251
            return time.perf_counter()

        assert simulate(main).value == 3.0
        assert not is_patched()


SOURCE = """
import time
from time import monotonic, perf_counter as timer, sleep

class Breaker:
    now = time.monotonic
    def __init__(self, limit, clock=time.monotonic):
        self.clock = clock
    @staticmethod
    def wait(seconds, *, pause=time.sleep):
        pause(seconds)

def elapsed(since, clock=time.time): ...
"""
KEPT = ["Breaker.now", "Breaker(clock)", "Breaker.wait(pause)", "elapsed(clock)"]


def cell(source: str, name: str = "__main__") -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": name}
    exec(source, names)
    return names


class TestBoundBefore:
    def test_every_place_is_named(self):
        """Names, attributes of classes, and defaults of parameters."""
        names = cell(SOURCE)
        assert clock_names_bound_before(names) == ["monotonic", "timer", "sleep", *KEPT]

    def test_after_install_there_is_nothing_to_name(self):
        """The same cell, after the set-up cell."""
        install()
        assert clock_names_bound_before(cell(SOURCE)) == []

    def test_names_are_bound_anew(self):
        """A name that was bound too early reads the virtual clock; a default can't be helped."""
        names = cell(SOURCE)
        install()
        assert rebind_clocks(names) == ["monotonic", "timer", "sleep"]
        assert clock_names_bound_before(names) == KEPT

        async def main() -> tuple[float, float]:
            names["sleep"](2)
            return names["monotonic"](), names["timer"]()

        assert simulate(main).value == (2.0, 2.0)

    def test_modules_beside_the_notebook(self, monkeypatch, tmp_path):
        """A file of the learner's is looked at, also where only a class of it was imported; a library isn't."""
        monkeypatch.chdir(tmp_path)
        helpers, library = ModuleType("helpers"), ModuleType("library")
        for module, place in ((helpers, tmp_path), (library, tmp_path / "site-packages")):
            module.__file__ = str(place / f"{module.__name__}.py")
            exec("from time import monotonic\nclass Clock:\n    read = monotonic", vars(module))
            monkeypatch.setitem(sys.modules, module.__name__, module)
        names = {"Clock": vars(helpers)["Clock"], "library": library}
        assert clock_names_bound_before(names) == ["Clock.read", "helpers.monotonic", "helpers.Clock.read"]
        install()
        assert rebind_clocks(names) == ["helpers.monotonic"]

    def test_odd_values_do_no_harm(self):
        """A name may hold anything."""

        class Odd:
            def __getattribute__(self, name: str) -> Any:
                raise RuntimeError(name)

        nothing = type("Nothing", (), {"__module__": None})
        assert clock_names_bound_before({"odd": Odd(), "nothing": nothing, "none": None, "_": time.sleep}) == []

    def test_a_sentence(self):
        """It says which name, and what to do; of many names the first."""
        assert bound_before_line([]) == ""
        assert bound_before_line(["monotonic"]) == (
            "monotonic was bound before the set-up cell ran, and reads the computer's clock: "
            "run the set-up cell first, then run the cell that defines it again."
        )
        assert bound_before_line(list("abcdefg")).startswith("a, b, c, d, e and 2 more were bound before")

    def test_start_says_what_it_did(self, monkeypatch, capsys):
        """The set-up cell, run after a cell that took clocks for itself."""
        monkeypatch.setattr(notebook, "_started", False)
        names = cell(SOURCE) | {"start": notebook.start}
        exec("start()", names)
        _, changed, kept = capsys.readouterr().out.splitlines()
        assert changed == "From here on these names read the virtual clock too: monotonic, timer, sleep"
        assert kept == bound_before_line(KEPT)
        exec("start()", names)
        assert len(capsys.readouterr().out.splitlines()) == 2
