"""The numbers that the takeaways tell, from the notebook's own cells."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autograder.authoring.worked import solution_notebook
from autograder.learner.own import own_answer
from autograder.notebook.answer import read_cells
from autograder.notebook.cells import CodeCell
from autograder.notebook.execution import run_notebook
from faultlab import simulate
from tests.sections.conftest import COURSE

SECTION = COURSE.section("11_takeaways")
WANTED = ["collapse", "level", "worked", "part", "storm", "counted", "saturated", "admitted", "slow_pages", "blind"]
WANTED += ["Shop", "Tenth", "tenth", "verdicts_of", "knocking"]
MONITORS = ("every visit", "tried visits")


@pytest.fixture(scope="module")
def names() -> Mapping[str, Any]:
    cells = enumerate(read_cells(solution_notebook(SECTION)))
    found, errors = run_notebook([CodeCell(cell.source, False, number) for number, cell in cells], WANTED)
    assert not errors
    return found


@pytest.mark.parametrize(
    ("options", "load", "good"),
    [
        ({"rate": 100}, 100, 100),
        ({"rate": 140}, 138, 138),
        ({"rate": 160}, 317, 0),
        ({"rate": 200}, 394, 0),
        ({"rate": 280}, 559, 0),
        ({"attempts": 4}, 1118, 0),
        ({"attempts": 1}, 280, 280),
        ({"jitter": 10}, 558, 0),
        ({"jitter": 60}, 557, 0),
        ({"budget": 0.1}, 280, 280),
        ({"lifo": True}, 282, 280),
        ({"room": 150}, 280, 280),
        ({"room": 290}, 280, 280),
        ({"drop_late": True}, 280, 280),
        ({"cut": (100, 140)}, 278, 0),
    ],
    ids=str,
)
def test_levels_after_the_outage(names, options, load, good):
    """Asked and answered in time at 200-300 s, the published collapse and its cures (3 % tolerance)."""
    asked, answered = names["collapse"](**options)
    assert names["level"](asked) == pytest.approx(load, rel=0.03)
    assert names["level"](answered) == pytest.approx(good, rel=0.03, abs=0.5)


@pytest.mark.parametrize(
    ("options", "soon"),
    [({"lifo": True}, True), ({"room": 150}, True), ({"drop_late": True}, True), ({"attempts": 1}, False)],
    ids=str,
)
def test_who_is_back_soon(names, options, soon):
    """At 60-100 s those that cure the queue are back; those that cure the crowd still work off the backlog."""
    _, answered = names["collapse"](**options)
    early = names["level"](answered, 60, 100)
    assert early > 250 if soon else early == 0


@pytest.mark.parametrize(
    ("earned_by", "budget", "back"),
    [("requests", 0.02, True), ("requests", 0.05, False), ("requests", 0.1, False), ("answers", 1.0, True)],
)
def test_budget_by_requests_or_by_answers(names, earned_by, budget, back):
    """A budget that requests fill must fit into what is left; one that answers fill may be of any size."""
    _, answered = names["collapse"](14, budget=budget, earned_by=earned_by, steady=True, capacity=15)
    assert (names["level"](answered, 280, 300) > 13) is back


@pytest.mark.parametrize(
    ("layers", "back"), [((), False), (("old answers",), False), (("bulkhead",), True), (("breaker",), True)], ids=str
)
def test_which_part_cures(names, layers, back):
    """The breaker or the bulkhead alone bring fresh answers back; timeout, retry and old answers alone don't."""
    _, ended = names["counted"](names["storm"](names["part"], layers))
    assert min(ended["primary"][:30]) >= 13
    assert (sum(ended["primary"][70:90]) > 270) is back
    assert back or sum(ended["primary"][40:]) == 0


def test_with_all_parts_nobody_goes_without(names):
    """All parts: every visit is answered, old answers end soon after the outage, and the database is left alone."""
    asked, ended = names["counted"](names["storm"](names["part"]))
    assert not sum(ended["nothing"])
    assert not sum(ended["cache"][50:])
    assert sum(asked[32:40]) < 10


def seen_after_missing_users(shop_class: Any, part: Any) -> tuple[str, str]:
    """What a user who exists gets after five who don't, and the breaker's state then."""

    async def fetch_one(sql: str, params: tuple[int]) -> tuple[int, str] | None:
        return (params[0], "Ada") if params[0] <= 100 else None

    async def scene() -> tuple[str, str]:
        shop = shop_class(part, fetch_one, ("breaker",))
        for user in range(101, 106):
            with suppress(Exception):
                await shop.answer(user)
        return await shop.answer(1), getattr(shop.breaker.state, "value", shop.breaker.state)

    return simulate(scene).value


@pytest.mark.parametrize("kind", ["Shop", "Tenth"])
def test_missing_users_open_no_circuit(names, kind):
    """Five users who don't exist are five answers: a user who does exist is served, and the breaker is closed."""
    assert seen_after_missing_users(names[kind], names["part"]) == ("primary", "closed")


def test_two_monitors_of_one_evening(names):
    """The monitor of every visit says not ready from 32 s to 99 s, that of tried visits never; well from 43 s on."""
    run = names["tenth"]
    every, tried = ([(one.tenant, one.start) for one in names["verdicts_of"](run, lane)] for lane in MONITORS)
    assert [verdict for verdict, _ in every] == ["ready", "not ready", "ready"]
    assert every[1][1] == pytest.approx(32, abs=1)
    assert every[2][1] == pytest.approx(99.5, abs=1)
    assert [verdict for verdict, _ in tried] == ["ready"]
    _, ended = names["counted"](run, 126)
    assert sum(ended["nothing"]) == 172
    waits = run.value[0].waits
    assert len(waits) == 172
    assert sum(wait < 0.001 for wait in waits) > 0.9 * 172
    assert not sum(ended["nothing"][43:])


def test_one_of_25_callers_is_the_probe(names):
    """Notebook 03 tried its libraries with 25 callers; here 25 knock at the worked breaker, and one gets through."""
    assert names["knocking"]() == (1, "closed")


def test_the_gate_of_the_storm(names):
    """With all parts the breaker opens soon after 30 s, probes in vain, and closes for good soon after 40 s."""
    run = names["storm"](names["part"])
    states = [(one.value, one.at) for one in run.timeline.marks("state") if one.lane == "breaker"]
    assert [state for state, _ in states] == ["closed", "open", "half-open", "open", "half-open", "closed"]
    assert 30 < states[1][1] < 33 and 40 < states[-1][1] < 44
    turned = [one.at for one in run.timeline.marks("turned away")]
    assert len(turned) > 130 and all(30 < at < 44 for at in turned)


@pytest.mark.parametrize(
    ("rate", "attempts", "offered"),
    [(10_100, 3, 12_734), (10_100, 10, 27_051), (12_000, 3, 22_238), (12_000, 10, 60_960)],
)
def test_saturated_overload(names, rate, attempts, offered):
    """A small overload and retries: what is offered in the end, to the unit."""
    assert names["saturated"](rate, attempts=attempts) == pytest.approx(offered, abs=1)


def test_published_shares(names):
    """Bimodal latency admits a fifth at 100 s and all at 10 s; a fan-out of 100 makes 63 % slow; 52,632 unseen."""
    assert names["admitted"](100) == pytest.approx(19.6, rel=0.06)
    assert names["admitted"](10) > 99
    assert names["slow_pages"]() == pytest.approx(63.4, rel=0.02)
    assert names["blind"]() == 52_632


def test_with_the_learners_own_answers(names, tmp_path: Path):
    """Each part may come from the notebooks beside this one, and then the service comes back too."""
    for section in COURSE.sections:
        if section.exercise in names["worked"]:
            folder = Path(shutil.copytree(section.released, tmp_path / section.name))
            (folder / f"{section.notebook}.ipynb").write_bytes(solution_notebook(section))
    part = {}
    for exercise, wanted in names["worked"].items():
        own = own_answer(exercise, tmp_path / SECTION.name)
        assert own.names is not None, own.line
        part[exercise] = SimpleNamespace(**{name: own.names[name] for name in wanted})
    assert seen_after_missing_users(names["Shop"], part) == ("primary", "closed")
    _, ended = names["counted"](names["storm"](part))
    assert not sum(ended["nothing"])
    assert not sum(ended["cache"][50:])
