"""Build notebooks from their sources, and check both.

    solutions/<section>/<name>.py -> build/source/<section>/ -> notebooks/<section>/

Building twice gives the same bytes. Problems are returned, not raised: each is one line that says where, what, and what
to run next, and all problems of a section are reported together.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

from autograder.authoring import problems
from autograder.authoring.examples import answers, misfits
from autograder.authoring.handbook import HANDBOOK_FILE, handbook
from autograder.authoring.make import authors_errors, files_for_checks, make
from autograder.authoring.rule import NO_RULES, Built, Count, Rules
from autograder.course import Course, Section
from autograder.errors import UsageError
from autograder.files import write_atomically
from autograder.judging.mistakes import MISTAKES_PATH, judged_mistakes
from autograder.notebook.source import BuildError, author_notebook, from_text
from autograder.processes import Died, Tell, side_by_side
from autograder.version import code_digest


def build(
    course: Course,
    sections: Sequence[str] | None = None,
    *,
    check: bool = False,
    force: bool = False,
    rules: Rules = NO_RULES,
    tell: Tell = lambda _: None,
    jobs: int = 1,
) -> list[str]:
    """Build these sections (all), register them in the gradebook, and return what is wrong, a line each.

    `check` changes nothing: it compares what is committed with what would be built, and looks further, in `jobs`
    processes, which the rules must be able to reach by name. `tell` hears what is going on, a line each.
    `force` replaces notebooks that somebody has worked in, too. A section with a problem isn't written.
    Raises UsageError for an unknown section and a course without sources.
    """
    chosen = course.select(sections or [])
    if not any(section.source.is_file() for section in chosen):
        raise UsageError(f"{course.solutions} holds no section: there is nothing to build from")
    found = [] if sections else problems.orphans(course)
    work = partial(_checked, rules) if check else partial(_written, rules, force)
    counts: Counter[str] = Counter()
    for seen in _in_processes(work, chosen, jobs if check else 1, tell):
        found += seen.problems
        counts.update(seen.counts or {})
    if check and not sections:
        found += [problem for rule in rules.bounds for problem in rule(counts, tell)]
    return found if sections else list(dict.fromkeys(found + _handbook(course, check=check)))


class _Seen(NamedTuple):
    """A section's problems, what it builds (None when it can't be built), and what was counted in it."""

    problems: list[str]
    built: Built | None = None
    counts: Counter[str] | None = None


Work = Callable[[Tell, Section], _Seen]


def _in_processes(work: Work, sections: Sequence[Section], jobs: int, tell: Tell) -> list[_Seen]:
    """Look at each of these sections; return what was found, in their order."""
    found: dict[str, _Seen] = {}
    pairs = ((section.name, section) for section in sections)
    with closing(side_by_side(pairs, jobs, partial(_start_work, work), tell)) as results:
        for name, result in results:
            if isinstance(result, Died):
                raise UsageError("one of its processes was killed from outside; run the same command again")
            found[name] = result
    return [found[section.name] for section in sections]


def _start_work(work: Work, _: int | None, tell: Tell) -> AbstractContextManager[Callable[[Section], _Seen]]:
    return nullcontext(partial(work, tell))


def _looked_at(section: Section, rules: Rules, tell: Tell, *, check: bool) -> _Seen:
    """All problems of a section except those of the released files. What can't be checked is named."""
    if found := problems.unreadable(section):
        return _Seen([*found, _waiting(section, "everything else")])
    found = [problem for rule in rules.folder for problem in rule(section)]
    try:
        notebook = author_notebook(section)
        if broken := problems.broken_cells(section, notebook):
            return _Seen([*found, *broken, _waiting(section, "its text, its points, its answers")])
        found += [problem for rule in (*TEXT, *rules.text) for problem in rule(section, notebook)]
        if unfit := list(misfits(section)):
            return _Seen([*found, *unfit, _waiting(section, "what it builds, its points, its answers")])
        built = make(section) if check else make(section, tell)
    except BuildError as error:
        found += [f"{section.name}: {error}", _waiting(section, "what it builds, its points, its answers")]
        return _Seen(list(dict.fromkeys(found)))
    if section.exercise is not None and not section.scenarios.is_file():
        return _Seen([*found, _waiting(section, "its answers")], built)
    counts: Counter[str] = Counter()
    judged = [partial(_held, section, built, rules, tell, again=check)]
    judged += [partial(rule, section, tell) for rule in rules.answers] if check else []
    judged += [partial(_count, rule, section, built, tell, counts) for rule in rules.counts] if check else []
    for rule in judged:
        try:
            with authors_errors(section):
                found += rule()
        except BuildError as error:
            found.append(f"{section.name}: {error}")
    return _Seen(list(dict.fromkeys(found)), built, counts)


TEXT = (problems.rebound, problems.misplaced_marks)
"""Check the rules of text, which every build looks at."""


def _waiting(section: Section, what: str) -> str:
    return f"{section.name}: not checked until that is fixed: {what}"


def _count(rule: Count, section: Section, built: Built, tell: Tell, counts: Counter[str]) -> list[str]:
    counts.update(rule(section, built, tell))
    return []


def _held(section: Section, built: Built, rules: Rules, tell: Tell, *, again: bool) -> list[str]:
    """Check the rules that run what is built. What held before and hasn't changed is skipped unless `again`."""
    if not rules.solution:
        return []
    stamp, digest = section.course.build / "held" / section.name, _digest(section, built)
    if not again and stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return []
    if not again:
        tell(f"{section.name}: running its warm-ups, its solution and its stub (once; cached)")
    found = [problem for rule in rules.solution for problem in rule(section, built)]
    if not found and not again:
        write_atomically(stamp, digest.encode())
    return found


def _digest(section: Section, built: Built) -> str:
    """A digest of everything that decides the outcome of running a section."""
    own = [(section.folder / path).read_bytes() for path in problems.present(section.folder)]
    parts = [code_digest().encode(), sys.version.encode(), *own, *built.source.values(), *built.release.values()]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _written(rules: Rules, force: bool, tell: Tell, section: Section) -> _Seen:
    """Write a section's files if it has no problems; return the problems."""
    found, built, _ = _looked_at(section, rules, tell, check=False)
    if built is not None:
        found = found + problems.leaked(section, built.release)
        found += [] if force else _worked_in(section, built)
    if found or built is None:
        if built is not None and MISTAKES_PATH in built.release:
            _write_if_changed(judged_mistakes(section), built.release[MISTAKES_PATH])
        tell(f"{section.name}: not built, {problems.counted(len(found), 'problem')}")
        return _Seen(found)
    changed = _replace_folder(section.built, built.source)
    for name, data in built.release.items():
        changed |= _write_if_changed(section.released / name, data)
    changed |= _remove_moved(section)
    from autograder.nbgrader.save import points_changed, register

    before = points_changed(section)
    found = register(section)
    if not found and before:
        tell(before)
    tell(f"{section.name}: {'built' if changed else 'unchanged'}")
    return _Seen(found + problems.extra(section, built.release))


def _handbook(course: Course, *, check: bool) -> list[str]:
    """Write the page for instructors, or compare it with the one that would be written."""
    try:
        text, found = handbook(course)
    except BuildError as error:
        return [str(error)]
    except UnicodeDecodeError:
        return []  # the section's problems name it already
    path = course.root / HANDBOOK_FILE
    if text and check and problems.difference(path, text.encode()):
        found.append(f"{HANDBOOK_FILE}: not what its sources say; run: autograder build")
    if text and not check:
        _write_if_changed(path, text.encode())
    return found


def _replace_folder(folder: Path, files: dict[str, bytes]) -> bool:
    """Make the folder hold exactly these files, since nbgrader copies all of it to students. Return whether any
    changed."""
    extra = [path for path in problems.present(folder) if path not in files]
    for path in extra:
        (folder / path).unlink()
    for litter in [path for path in folder.rglob("*") if path.name in problems.LITTER] if folder.is_dir() else []:
        shutil.rmtree(litter, ignore_errors=True)
    written = [_write_if_changed(folder / name, data) for name, data in files.items()]
    return bool(extra) or any(written)


def _remove_moved(section: Section) -> bool:
    """Remove what earlier versions of the build put beside the notebook and this one into `checks/`; whether any was
    there."""
    moved = [path for name in files_for_checks(section) if (path := section.released / name).is_file()]
    for path in moved:
        path.unlink()
    return bool(moved)


def _write_if_changed(path: Path, data: bytes) -> bool:
    if path.is_file() and path.read_bytes() == data:
        return False
    write_atomically(path, data)
    return True


def _worked_in(section: Section, built: Built) -> list[str]:
    """Whether a released notebook was edited: beside each stub it holds the checksum that nbgrader took of it."""
    from nbgrader.utils import compute_checksum, is_solution

    path = section.released / f"{section.notebook}.ipynb"
    if not path.exists() or path.read_bytes() == built.release[path.name]:
        return []
    run = f"copy it away, or run: autograder build {section.name} --force"
    try:
        cells = from_text(path.read_text(encoding="utf-8")).cells
        solutions = [cell for cell in cells if is_solution(cell)]
        changed = [cell for cell in solutions if cell.metadata.nbgrader.get("checksum") != compute_checksum(cell)]
    except Exception as error:  # a file that can't be read is still somebody's file
        return [f"{problems.at(section, path)}: can't be read ({type(error).__name__}), so it isn't replaced; {run}"]
    return [f"{problems.at(section, path)}: somebody has worked in it, so it isn't replaced; {run}"] if changed else []


def _checked(rules: Rules, tell: Tell, section: Section) -> _Seen:
    """All problems of a section and of its released files; changes nothing."""
    tell(f"{section.name}: checking {_much(section)}")
    found, built, counts = _looked_at(section, rules, tell, check=True)
    if built is not None:
        there = {path: (section.released / path).read_bytes() for path in problems.present(section.released)}
        found = found + problems.stale(section, built.release) + problems.extra(section, built.release)
        found += problems.leaked(section, there) + problems.shared_ids(section)
    tell(f"{section.name}: {problems.counted(len(found), 'problem') if found else 'all is well'}")
    return _Seen(found, counts=counts)


def _much(section: Section) -> str:
    """Say what is being checked, because it takes a while."""
    right, wrong = (len(answers(section, folder)) for folder in ("right", "wrong"))
    if not right + wrong:
        return "its text"
    there = f"{problems.counted(right, 'right answer')}, {problems.counted(wrong, 'typical mistake')}"
    return f"its solution, {there} and liars"
