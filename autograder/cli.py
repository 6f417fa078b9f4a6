"""The commands. Errors are one clear line on stderr. Exit codes: 0 done, 1 problems found, 2 wrong usage."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from autograder.course import Course
from autograder.errors import UsageError

# jsonschema imports these, which takes over a second; we check no such formats
for _name in ("rfc3987_syntax", "isoduration"):
    sys.modules.setdefault(_name, None)  # type: ignore[arg-type]

# Importing makes many objects and no garbage: at the default threshold, collecting costs a sixth of a command.
gc.set_threshold(100_000, 20, 20)


def _plain_errors(command: Callable[..., int | None]) -> Callable[..., None]:
    """Turn a user's mistake into a line that says what to do, never a traceback."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        before = signal.signal(signal.SIGTERM, _terminate)
        try:
            sys.exit(command(*args, **options) or 0)
        except UsageError as error:
            _fail(str(error), 2)
        except OSError as error:
            if error.filename is None or error.strerror is None:
                raise
            _fail(f"{error.filename}: {error.strerror}", 2)
        except KeyboardInterrupt as how:
            code = 143 if isinstance(how, _Terminated) else 130
            _fail("interrupted: run the same command again, it goes on where it stopped", code)
        finally:
            signal.signal(signal.SIGTERM, before)

    return run


class _Terminated(KeyboardInterrupt):
    """Handle SIGTERM like Ctrl-C, with another exit code."""


def _terminate(_number: int, _frame: object) -> None:
    raise _Terminated


class _Commands(click.Group):
    """Report a misused command in one line, like every other error."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run as click does; its errors become ours, and characters that can't be written become question marks."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            return super().main(*args, **{**options, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(2)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx is not None else "autograder"
            _fail(f"{error.format_message().rstrip('.')}; see: {where} --help", 2)
        except click.ClickException as error:
            _fail(error.format_message(), 2)
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted", 130)


def _fail(line: str, code: int) -> None:
    click.echo(f"autograder: {line}", err=True)
    sys.exit(code)


def _course(folder: Path | None) -> Course:
    """The course of the working directory, otherwise that of `folder`. Raises UsageError when both are outside a
    course."""
    try:
        return Course.find()
    except UsageError:
        if folder is None:
            raise
        return Course.find(folder)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="resilience-course")
def main() -> None:
    """Build the course's notebooks, check one's own answers, grade a class."""


@main.command()
@click.argument("sections", nargs=-1)
@click.option("--check", is_flag=True, help="Change nothing; report what is stale or wrong.")
@click.option("--force", is_flag=True, help="Overwrite notebooks even if they were edited.")
@_plain_errors
def build(sections: tuple[str, ...], check: bool, force: bool) -> int:
    """Build notebooks/ from solutions/."""
    from autograder.authoring.build import build
    from autograder.authoring.rules import RULES

    jobs = min(os.cpu_count() or 1, len(sections) or sys.maxsize)
    problems = build(Course.find(), sections, check=check, force=force, rules=RULES, tell=click.echo, jobs=jobs)
    for problem in problems:
        click.echo(problem, err=True)
    return 1 if problems else 0


@main.command()
@click.argument("sections", nargs=-1)
@click.option(
    "--sample", "share", type=click.IntRange(1, 100), default=100, help="Judge a sample of this many percent."
)
@click.option("--seed", type=int, default=0, help="The seed that chooses the sample.")
@click.option(
    "--jobs", type=click.IntRange(1), default=None, help="How many run in parallel; one per core unless given."
)
@_plain_errors
def mutants(sections: tuple[str, ...], share: int, seed: int, jobs: int | None) -> int:
    """Make small mistakes in the worked solutions, and report those that no test finds."""
    from autograder.authoring.mutants import check_mutants

    jobs = jobs or os.cpu_count() or 1
    return 0 if check_mutants(Course.find(), sections, share=share, seed=seed, jobs=jobs, tell=click.echo) else 1


@main.command()
@click.argument("name")
@_plain_errors
def new(name: str) -> int:
    """Write a new section NAME into solutions/: a small working exercise, to change step by step."""
    from autograder.authoring.skeleton import new_section, what_next

    section = new_section(Course.find(), name)
    click.echo("\n".join([f"solutions/{section.name} is written. Next:", *what_next(section)]))
    return 0


@main.command()
@click.argument("notebooks", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--watch", is_flag=True, help="Check again each time a notebook is saved, and tell what has changed.")
@click.option("--full", is_flag=True, help="With --watch: print the full result each time.")
@_plain_errors
def check(notebooks: tuple[Path, ...], watch: bool, full: bool) -> int:
    """Check your own notebooks: the visible tests."""
    from autograder.learner.terminal import check_all, watch_all

    return watch_all(notebooks, full=full) if watch else check_all(notebooks)


@main.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--section", help="Only this section.")
@click.option("--student", help="Only this student.")
@click.option(
    "--jobs", type=click.IntRange(1), default=None, help="How many run in parallel; one per core unless given."
)
@click.option("--seed", type=int, default=0, help="The seed of everything that the exercise doesn't fix.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write one line of JSON for each result.")
@click.option("--force", is_flag=True, help="Regrade unchanged submissions too.")
@click.option("--strict", is_flag=True, help="End with 1 when a person has to look at a submission.")
@click.option("--dry-run", is_flag=True, help="Report what would be graded, and why; change nothing.")
@click.option(
    "--limit", type=click.FloatRange(1), default=120, help="The most seconds that one submission may take (120)."
)
@click.option("--allow-unsandboxed", is_flag=True, help="Run the code with no protection: for your own code only.")
@_plain_errors
def grade(folder: Path | None, json_file: Path | None, **options: Any) -> int:
    """Grade a class: FOLDER (submitted/) holds <student>/<section>/<notebook>.ipynb.

    Exit codes: 0 when every submission has its verdict and is written; 1 when something couldn't be written, or, with
    --strict, when a person has to look at a submission; 2 for wrong usage.
    """
    from autograder.grading.classroom import Options, grade_course

    return grade_course(_course(folder), folder, json_file, Options(**options))


@main.command()
@click.option(
    "--jobs", type=click.IntRange(1), default=None, help="How many run in parallel; one per core unless given."
)
@click.option("--strict", is_flag=True, help="End with 1 when a person has to look at a submission.")
@click.option("--allow-unsandboxed", is_flag=True, help="Run the code with no protection: for your own code only.")
@_plain_errors
def demo(jobs: int | None, strict: bool, allow_unsandboxed: bool) -> int:
    """Grade a small bundled class and write the report."""
    from autograder.grading.classroom import grade_demo

    return grade_demo(Course.find(), jobs=jobs, strict=strict, allow_unsandboxed=allow_unsandboxed)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[FOLDER] [JUPYTERLAB'S OPTIONS]...")
@_plain_errors
def lab(arguments: tuple[str, ...]) -> int:
    """JupyterLab on your own copy of the notebooks (work/ unless FOLDER is given)."""
    from autograder.learner.lab import folder_and_options, lab

    folder, options = folder_and_options(arguments)
    return lab(_course(folder), folder, options)


@main.command()
@click.option("--html", "html", type=click.Path(path_type=Path), help="Write the page here, too.")
@click.option("--folder", type=click.Path(path_type=Path), help="Your copy of the notebooks (work/).")
@_plain_errors
def progress(html: Path | None, folder: Path | None) -> int:
    """Show what you have passed, section by section."""
    from autograder.learner.progress import show_progress

    return show_progress(_course(folder), folder, html)


@main.command()
@click.argument("exercise")
@click.option("--folder", type=click.Path(path_type=Path), help="Your copy of the notebooks (work/).")
@_plain_errors
def compare(exercise: str, folder: Path | None) -> int:
    """Show the worked answer, and other right ones, beside yours once it passes."""
    from autograder.learner.terminal import compare_answers

    return compare_answers(_course(folder), exercise, folder)


@main.command()
@_plain_errors
def doctor() -> int:
    """Report which sandbox this machine allows, and how to get a better one."""
    from autograder.learner.terminal import show_doctor

    return show_doctor()
