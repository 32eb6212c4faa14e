"""What `make bench` makes of its figures; those themselves are no test's business."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from bench_rows import GOALS, Figure, again, as_text, in_order, picture

ROOT = Path(__file__).parent.parent
SPEED = ROOT / ".ci" / "speed.json"


def _kept() -> list[Figure]:
    rows: list[dict[str, Any]] = json.loads(SPEED.read_text("utf-8"))
    return [Figure(key=row["key"], value=row["value"], note=row["note"]) for row in rows]


@pytest.mark.parametrize("key", GOALS)
def test_a_floor_is_worse_than_its_goal_and_taken_itself(key: str) -> None:
    goal = GOALS[key]
    assert goal.reached(goal.floor) < 1
    assert goal.holds(goal.floor)
    assert goal.holds(goal.goal)


@pytest.mark.parametrize(("key", "worse"), [("status", 0.1), ("postlinks", 100), ("start", 9.0), ("kept", 100.0)])
def test_what_is_worse_than_its_floor_does_not_hold(key: str, worse: float) -> None:
    assert not Figure(key=key, value=worse).holds


def test_what_is_below_a_floor_is_measured_once_more_and_the_better_counts() -> None:
    values = iter((0.1, 0.9, 0.2, 0.05))

    def measure() -> Iterator[Figure]:
        yield Figure(key="status", value=next(values))
        yield Figure(key="page", value=next(values))

    assert [(one.key, one.value) for one in again([measure])] == [("status", 0.2), ("page", 0.9)]


def test_what_holds_is_measured_once() -> None:
    values = iter((0.5,))
    assert [one.value for one in again([lambda: iter([Figure(key="status", value=next(values))])])] == [0.5]


def test_figures_are_told_in_the_order_of_the_goals() -> None:
    figures = in_order(Figure(key=key, value=1) for key in reversed(list(GOALS)))
    assert [one.key for one in figures] == list(GOALS)
    told = as_text(figures).splitlines()
    assert [line.split("  ")[0] for line in told[1:]] == [goal.what for goal in GOALS.values()]


def test_a_line_says_how_far_on_the_way_to_its_goal_a_figure_is() -> None:
    *_, line = as_text([Figure(key="start", value=3.2, note="400 ms")]).splitlines()
    assert " ".join(line.split()) == "start to first token, times bare's 3.20 1.60 50% 400 ms"


def test_the_file_of_figures_says_of_each_whether_it_meets_its_goal() -> None:
    good, bad = Figure(key="kept", value=3.5).facts(), Figure(key="kept", value=9.0).facts()
    assert (good["met"], bad["met"], good["goal"]) == (True, False, 4)
    assert set(json.loads(SPEED.read_text("utf-8"))[0]) == set(good)


def test_the_picture_in_the_readme_is_that_of_the_figures_beside_it() -> None:
    figures = _kept()
    assert [one.key for one in figures] == list(GOALS)
    assert picture(figures) == (ROOT / ".ci" / "speed.svg").read_text("utf-8")


def test_the_picture_can_be_heard_and_is_drawn_for_day_and_night() -> None:
    drawn = picture([Figure(key="hanging", value=0.5), Figure(key="page", value=0.035)])
    tree = ET.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    assert tree.get("role") == "img"
    assert [tree.find(f"{space}{tag}").get("id") for tag in ("title", "desc")] == tree.get("aria-labelledby").split()  # type: ignore[union-attr]
    assert "pay page, of bare: 0.035, wanted is at least 0.070." in tree.findtext(f"{space}desc", "")
    assert "prefers-color-scheme: dark" in tree.findtext(f"{space}style", "")
    kinds = [(bar.get("class"), bar.get("width")) for bar in tree.findall(f"{space}rect")[1:]]
    assert kinds == [("met", "313"), ("bar", "145")]
