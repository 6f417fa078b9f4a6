"""Which sandbox there is, why no better one, what would bring it back; and what happens where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from autograder.cli import main
from autograder.course import Course
from autograder.grading.demo import write_submission
from autograder.sandbox import tiers
from autograder.sandbox.host import Box
from autograder.sandbox.tiers import SandboxUnavailable
from tests.autograder.sandbox.boxes import STAGE, staged

SECTION = "90_sample"
RIGHT = "def add(a, b):\n    return a + b\n"
ROOT = os.getuid() == 0
NAMESPACES = ("unshare", "Operation not permitted", "--cap-add SYS_ADMIN")
LANDLOCK = ("landlock_create_ruleset", "Operation not permitted", "Linux 5.13")

# The user, and what the machine lacks: the tier that is chosen, what is said of the full one and of Landlock's.
Standing = tuple[tuple[str, ...], str, tuple[str, ...], tuple[str, ...]]
AS_USER: list[Standing] = [
    ((), "full", (": available",), ()),
    (("contained",), "landlock", NAMESPACES, (": available",)),
    (("contained", "old"), "none", NAMESPACES, LANDLOCK),
]
STANDINGS = [
    ((*who, *roles), *rest)
    for who in ([("exposed",), ("exposed", "nobody")] if ROOT else [()])
    for roles, *rest in AS_USER
]


def named(standing: tuple[Any, ...]) -> str:
    return "-".join((standing[1], *standing[0]))


def doctor() -> tuple[int, str, dict[str, str]]:
    """Its exit code, all that it says, and what of each tier, in a line."""
    done = CliRunner().invoke(main, ["doctor"])
    assert isinstance(done.exception, SystemExit | None), done.exc_info
    said = " ".join(done.stdout.split())
    full, _, rest = said.partition(" landlock (")
    landlock, _, _ = rest.partition(" control groups ")
    return done.exit_code, said, {"full": full, "landlock": landlock}


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine says that it is a container, and nothing else."""
    monkeypatch.setattr(tiers, "_setting", lambda path: "")
    monkeypatch.setattr(tiers, "in_container", lambda: True)


@pytest.mark.parametrize("standing", STANDINGS, ids=named)
def test_the_doctor(standing, container):
    """Names the tier that grading would choose, the call that failed for a better one, and how to get it."""
    roles, chosen, full, landlock = standing
    with staged(*roles):
        code, said, tier = doctor()
        assert all(word in tier["full"] for word in full), said
        assert all(word in tier["landlock"] for word in landlock), said
        if chosen == "none":
            assert code == 1 and "--allow-unsandboxed" in said
            with pytest.raises(SandboxUnavailable) as refused:
                Box()
            assert [lost.tier for lost in refused.value.reasons] == ["full", "landlock"]
        else:
            assert code == 0 and said.endswith(f"submissions run in the {chosen} tier")
            with Box() as box:
                assert box.tier.name == chosen
                assert [lost.tier for lost in box.tier.reasons] == (["full"] if chosen == "landlock" else [])


@pytest.mark.parametrize(
    ("call", "settings", "container", "says"),
    [
        ("unshare(): no", {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}, False, "userns=0"),
        ("unshare(): no", {"/proc/sys/kernel/unprivileged_userns_clone": "0"}, True, "userns_clone=1"),
        ("unshare(): no", {"/proc/sys/user/max_user_namespaces": "0"}, False, "max_user_namespaces=15000"),
        ("unshare(): no", {}, True, "--cap-add SYS_ADMIN"),
        ("unshare(): no", {}, False, "(or root)"),
        ("mount_setattr(): Function not implemented", {}, True, "Linux 5.12"),
    ],
)
def test_how_to_get_the_full_tier(monkeypatch, call, settings, container, says):
    """What the machine itself says of why there are no namespaces decides."""
    monkeypatch.setattr(tiers, "_setting", lambda path: settings.get(path, ""))
    monkeypatch.setattr(tiers, "in_container", lambda: container)
    assert says in tiers.advice("full", call)


ELSEWHERE = [
    ("darwin", "arm64", ["Linux container", "Docker Desktop", "Colima", "Podman machine"]),
    ("win32", "AMD64", ["WSL 2", "Linux container", "Docker Desktop"]),
    ("freebsd14", "amd64", ["on Linux or in a Linux container"]),
    ("linux", "riscv64", ["x86-64 and arm64", "riscv64"]),
]


@pytest.fixture(params=ELSEWHERE, ids=[system for system, *_ in ELSEWHERE])
def elsewhere(request, monkeypatch) -> list[str]:
    """Another system, by its name; what is to be said of it."""
    system, machine, says = request.param
    monkeypatch.setattr(tiers, "sys", SimpleNamespace(platform=system))
    monkeypatch.setattr(tiers, "platform", SimpleNamespace(machine=lambda: machine))
    return [*says, "--allow-unsandboxed"]


@pytest.mark.parametrize("command", [["doctor"], ["grade", "--jobs", "1"]], ids=" ".join)
def test_other_machines(two, monkeypatch, elsewhere, command):
    """Refused, with the container to use and the word that allows it; nothing is graded."""
    monkeypatch.chdir(two.root)
    done = CliRunner().invoke(main, command)
    said = " ".join(done.output.split())
    assert done.exit_code == (1 if command == ["doctor"] else 2) and all(word in said for word in elsewhere), said
    assert not list(two.build.rglob("ada.json"))


def test_allowed_on_other_machines(two, monkeypatch, elsewhere):
    """Graded, announced, and stored with every result."""
    monkeypatch.chdir(two.root)
    done = CliRunner().invoke(main, ["grade", "--jobs", "1", "--allow-unsandboxed", "--json", "rows.json"])
    rows = [json.loads(line) for line in (two.root / "rows.json").read_text().splitlines()]
    assert done.exit_code == 0 and "WITHOUT a sandbox" in done.stderr
    assert [(row["score"], row["sandbox"]) for row in rows] == [(3.0, "none")] * 2


def graded(course: Course, *arguments: str, lacking: tuple[str, ...] = ("contained", "old")) -> SimpleNamespace:
    """`autograder grade` on a machine that lacks something: its exit code, its rows, what it says."""
    command = [str(Path(sys.executable).with_name("autograder")), "grade", "--json", "rows.json", *arguments]
    stage = [sys.executable, STAGE, *lacking, "--"] if lacking else []
    (course.root / "rows.json").unlink(missing_ok=True)
    done = subprocess.run([*stage, *command], cwd=course.root, capture_output=True, text=True)
    rows = (course.root / "rows.json").read_text() if (course.root / "rows.json").exists() else ""
    found = [json.loads(line) for line in rows.splitlines()]
    return SimpleNamespace(code=done.returncode, err=done.stderr, rows=found)


@pytest.fixture
def two(course: Course) -> Course:
    for student in ("ada", "bob"):
        write_submission(course.section(SECTION), course.submitted / student / SECTION, f"# {student}\n{RIGHT}")
    return course


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_refused_where_nothing_locks(two, jobs):
    """In a line that says which calls failed and what to do; no code of a student's is run."""
    done = graded(two, "--jobs", jobs)
    assert (done.code, done.rows) == (2, []) and done.err.count("\n") == 1, done.err
    for word in ("full: unshare", "landlock: landlock_create_ruleset", "autograder doctor", "--allow-unsandboxed"):
        assert word in done.err
    assert not list(two.build.rglob("ada.json")) and not two.autograded.exists()


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_allowed_where_nothing_locks(two, jobs):
    """Announced, and stored with every result; a later run says it again; without the word nothing is taken over."""
    for _ in range(2):
        done = graded(two, "--jobs", jobs, "--allow-unsandboxed")
        assert done.code == 0 and "WITHOUT a sandbox" in done.err
        assert [(row["score"], row["sandbox"]) for row in done.rows] == [(3.0, "none")] * 2
        stored = [json.loads(path.read_bytes())["result"]["sandbox"] for path in two.build.glob("graded/*/*.json")]
        assert stored == ["none", "none"]
        assert "Sandbox: none." in (two.build / "report" / "index.html").read_text(encoding="utf-8")
    assert graded(two, "--jobs", jobs).code == 2


def test_the_weaker_tier_is_announced(two):
    """With where to ask why, and stored as well."""
    done = graded(two, "--jobs", "1", lacking=("exposed", "contained") if ROOT else ("contained",))
    assert done.code == 0 and "weaker sandbox (landlock)" in done.err and "autograder doctor" in done.err
    assert [(row["score"], row["sandbox"]) for row in done.rows] == [(3.0, "landlock")] * 2


def test_allowing_it_doesn_t_switch_it_off(two):
    """Where submissions can be locked in they are."""
    done = graded(two, "--jobs", "1", "--allow-unsandboxed", lacking=())
    assert done.code == 0 and "WITHOUT" not in done.err
    assert {row["sandbox"] for row in done.rows} <= {"full", "landlock"}
