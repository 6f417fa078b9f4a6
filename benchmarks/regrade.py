"""Grade the same class again and again, and compare: every result's bytes are the same, but for `seconds`.

A result that a busy machine may have decided, for which a person is asked, is graded once more.

    uv run python benchmarks/regrade.py [--times 1000] [--load 0 16] [--section 02_retry] [--sample 150] [--jobs 2]

The class: every section's right and wrong answers, all of them, and some real life as in `autograder demo`;
with `--sample` so many of them, always the same ones.
`--load` keeps so many processes busy meanwhile; of several loads, each time takes the next one. Ends with 1, and shows
the first difference, as soon as there is one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

from autograder.course import Course, Submission
from autograder.grading.demo import make_class
from autograder.grading.jobs import everything
from autograder.grading.pool import Setting
from autograder.judging.result import Result


def main() -> int:
    """Grade, compare, and say how often it was the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--load", type=int, nargs="+", default=[0])
    parser.add_argument("--section")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    course = Course.find(Path(__file__).parent)
    with tempfile.TemporaryDirectory() as folder:
        submitted = make_class(course, Path(folder) / "submitted", {"right": 1000, "wrong": 1000})
        first: dict[str, bytes] = {}
        for turn, busy in zip(range(1, options.times + 1), cycle(options.load), strict=False):
            with load(busy):
                found = graded(course, submitted, options)
            first = first or found
            if different := [name for name in {**first, **found} if first.get(name) != found.get(name)]:
                name = different[0]
                print(f"turn {turn}: {len(different)} of {len(first)} differ, first {name}")
                print(f"  {first.get(name)!r}\n  {found.get(name)!r}")
                return 1
            print(f"{turn} of {options.times}: {len(found)} results at load {busy}, all the same", flush=True)
    return 0


def graded(course: Course, submitted: Path, options: argparse.Namespace) -> dict[str, bytes]:
    """Each submission's result as bytes, without the seconds."""
    submissions = list(course.submissions(submitted, section=options.section))
    if options.sample is not None:
        submissions = random.Random(0).sample(submissions, min(options.sample, len(submissions)))
    setting = Setting(jobs=options.jobs)
    results = {place(result): result for _, result in everything(course, submissions, setting)}
    again = [one for one in submissions if _by_the_machine(results[place(one)])]
    if again:
        print(f"  graded once more, because the machine may have decided: {', '.join(map(place, again))}", flush=True)
        results |= {place(result): result for _, result in everything(course, again, setting)}
    assert len(results) == len(submissions) > 0, "nothing was graded, or somebody twice"
    return {name: as_bytes(result) for name, result in results.items()}


def _by_the_machine(result: Result) -> bool:
    """Whether a busy machine may have decided it; a person is asked then."""
    return result.unsettled or "wall-clock" in result.needs


def place(one: Result | Submission) -> str:
    """What tells a student's section from the others."""
    return f"{one.section if isinstance(one, Result) else one.section.name}/{one.student}"


def as_bytes(result: Result) -> bytes:
    """The line of `--json`, what is said of it, and the notes."""
    more = {"line": result.line, "notes": result.notes, "mistakes": result.mistakes}
    return json.dumps({**result.row(), "seconds": 0, **more}).encode()


@contextmanager
def load(count: int) -> Iterator[None]:
    """So many busy processes."""
    busy = [multiprocessing.get_context("spawn").Process(target=burn, daemon=True) for _ in range(count)]
    try:
        for process in busy:
            process.start()
        yield
    finally:
        for process in busy:
            process.kill()
            process.join()


def burn() -> None:
    """Compute forever, in a session of its own: Linux may share the processor between sessions first."""
    os.setsid()
    while True:
        pass


if __name__ == "__main__":
    sys.exit(main())
