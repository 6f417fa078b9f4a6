"""How much faster than stock nbgrader: one submission alone, and a batch, on the same notebooks in the same run.

    uv run python benchmarks/against_nbgrader.py [--section 02_retry] [--batch 100] [--stock 4]

Stock nbgrader runs each notebook in a kernel, one after the other; its time for a batch is measured on `--stock`
submissions and scaled, since a whole batch takes an hour. Ours is measured whole: from the command's start to its end,
the gradebook included; and, alone, to the line in the results file. Both work in copies of the course, with databases
of their own. Python's compiled files are there, as after any first start. Only the ratios mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

from autograder.authoring.examples import answers, cell_text
from autograder.course import Course
from autograder.grading.demo import write_submission

STOCK_CONFIG = """
c.CourseDirectory.root = {root!r}
c.CourseDirectory.course_id = "resilience"
c.CourseDirectory.source_directory = "build/source"
c.CourseDirectory.release_directory = "notebooks"
c.ExecutePreprocessor.timeout = 300
c.Execute.timeout = 300
"""


def main() -> None:
    """Measure, and print the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", default="02_retry")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--stock", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours = copy_of_course(Path(folder) / "ours", options.section, options.batch)
        stock = copy_of_course(Path(folder) / "stock", options.section, options.stock)
        (stock.root / "nbgrader_config.py").write_text("c = get_config()\n" + STOCK_CONFIG.format(root=str(stock.root)))
        compare(ours, stock, options.section, options.batch, options.stock)


def copy_of_course(root: Path, section_name: str, count: int) -> Course:
    """A copy of the course with `count` submissions, no two alike."""
    here = Course.find(Path(__file__).parent)
    root.mkdir(parents=True)
    for name in ("nbgrader_config.py", "solutions", "notebooks"):
        copy = shutil.copytree if (here.root / name).is_dir() else shutil.copy
        copy(here.root / name, root / name)
    course = Course(root)
    section = course.section(section_name)
    paths = [*answers(section, "right"), *answers(section, "wrong")]
    for number, path in zip(range(count), cycle(paths), strict=False):
        text = f"# submission {number}\n{cell_text(section, path)}"
        write_submission(section, course.submitted / f"s{number:03}" / section.name, text)
    run(course, "autograder", "build", section.name)
    return course


def compare(ours: Course, stock: Course, section: str, batch: int, few: int) -> None:
    """Time both, interleaved, and print what was measured."""
    one_by_stock = ("nbgrader", "autograde", section, "--student", "s000", "--force")
    one_by_us = ("autograder", "grade", "--section", section, "--student", "s000", "--force", "--json", "r")
    timed(stock, *one_by_stock), timed(ours, *one_by_us)
    alone_stock, alone_ours = timed(stock, *one_by_stock), timed(ours, *one_by_us)
    all_stock = timed(stock, "nbgrader", "autograde", section, "--force")
    all_ours = timed(ours, "autograder", "grade", "--section", section, "--force", "--json", "r")
    lines = [json.loads(line) for line in (ours.root / "r").read_text().splitlines()]
    assert len(lines) == batch, f"{len(lines)} results for {batch} submissions"
    report("one submission alone", alone_stock, alone_ours)
    stock_each = (all_stock - alone_stock) / (few - 1)
    scaled = alone_stock + stock_each * (batch - 1)
    report(f"a batch of {batch} (stock scaled from {few})", scaled, all_ours)


def report(what: str, stock: float, ours: float) -> None:
    """One ratio, and the seconds that it is made of."""
    print(f"{what}: stock {stock:.1f} s, ours {ours:.1f} s: {stock / ours:.1f} times as fast")


def timed(course: Course, *command: str) -> float:
    """Seconds from a command's start to its end."""
    began = time.perf_counter()
    run(course, *command)
    return time.perf_counter() - began


def run(course: Course, *command: str) -> None:
    """Run one of the environment's commands in a course; wrong answers (exit code 1) are part of a class."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=course.root,
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        capture_output=True,
        check=False,
    )
    if done.returncode > 1 or (done.returncode and command[:2] != ("autograder", "grade")):
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr.decode()[-2000:]}")


if __name__ == "__main__":
    main()
