"""What `make bench` measures, what each figure should be, and how the figures are shown."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from string import Template
from typing import Any, Final


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What is measured, what it should be, and what `--quick` still takes: some 40 % worse than it was at last.

    It takes far worse where a figure is no ratio, which tells how busy the machine is more than anything.
    What is `of bare` is a share of a bare application's rate.
    Of a few things, such as milliseconds, `less` is better.
    """

    what: str
    goal: float
    floor: float
    less: bool = False
    digits: int = 3

    def shown(self, value: float) -> str:
        """Return a value as it is read."""
        return f"{value:,.{self.digits}f}"

    def reached(self, value: float) -> float:
        """Return what part of the goal a value is; 1 and more meets it."""
        return self.goal / value if self.less else value / self.goal

    def holds(self, value: float) -> bool:
        """Say whether a value is no worse than the floor, which for what should be little is a ceiling."""
        return value <= self.floor if self.less else value >= self.floor


GOALS: Final[Mapping[str, Goal]] = {
    "urlencoded": Goal(what="token, urlencoded, of bare", goal=0.40, floor=0.15),
    "multipart": Goal(what="token, multipart, of bare", goal=0.33, floor=0.13),
    "status": Goal(what="check-status, of bare", goal=0.45, floor=0.29),
    "page": Goal(what="pay page, of bare", goal=0.07, floor=0.042),
    "payments": Goal(what="payments by the page, of bare", goal=0.025, floor=0.011, digits=4),
    "postlinks": Goal(what="postlinks to 100 shops, a second", goal=5000, floor=300, digits=0),
    "hanging": Goal(what="p99 while 1,000 postlinks hang", goal=2, floor=12, less=True, digits=2),
    "start": Goal(what="start to first token, times bare's", goal=1.6, floor=3, less=True, digits=2),
    "fixture": Goal(what="fixture epay, ms", goal=3, floor=30, less=True, digits=1),
    "paying": Goal(what="fixture with a payment, ms", goal=5, floor=50, less=True, digits=1),
    "rest": Goal(what="memory at rest, MB", goal=70, floor=90, less=True, digits=0),
    "kept": Goal(what="memory for a payment, kB", goal=4, floor=4.8, less=True, digits=1),
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What was measured of one of `GOALS`, and what else is worth knowing of it."""

    key: str
    value: float
    note: str = ""

    @property
    def goal(self) -> Goal:
        """What it should be."""
        return GOALS[self.key]

    @property
    def holds(self) -> bool:
        """Whether it is no worse than the floor."""
        return self.goal.holds(self.value)

    def facts(self) -> dict[str, Any]:
        """Return all that is known of it, for a file."""
        goal = self.goal
        met = goal.reached(self.value) >= 1
        return asdict(self) | asdict(goal) | {"met": met, "holds": self.holds}


def better(one: Figure, other: Figure) -> Figure:
    """Return the better of two figures of the same thing."""
    return max(one, other, key=lambda figure: figure.goal.reached(figure.value))


def again(measures: Iterable[Callable[[], Iterable[Figure]]]) -> Iterator[Figure]:
    """Measure; where something is below its floor once more, for it may have been the machine. Return the better."""
    for measure in measures:
        found = {one.key: one for one in measure()}
        if not all(one.holds for one in found.values()):
            found = {one.key: better(one, found[one.key]) for one in measure()}
        yield from found.values()


def in_order(figures: Iterable[Figure]) -> list[Figure]:
    """Return figures in the order of `GOALS`, as they are kept."""
    rounded = (replace(one, value=round(one.value, 4)) for one in figures)
    return sorted(rounded, key=lambda one: list(GOALS).index(one.key))


def as_text(figures: Iterable[Figure]) -> str:
    """Return the figures as a table."""
    lines = [f"{'':38}{'is':>8}{'goal':>8}{'reached':>9}"]
    for one in figures:
        goal, reached = one.goal, one.goal.reached(one.value)
        line = f"{goal.what:38}{goal.shown(one.value):>8}{goal.shown(goal.goal):>8}{reached:>9.0%}"
        lines.append(f"{line}  {one.note}" if one.note else line)
    return "\n".join(lines)


_WIDTH, _TOP, _STEP = 760, 58, 26
_LEFT, _GOAL = 260, 290  # where bars begin, and how long one is that reaches its goal
_LONGEST: Final = 1.08  # of the way to the goal: what is better still is not drawn longer

_PICTURE: Final = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" role="img" aria-labelledby="title desc">
<title id="title">How fast the sandbox is, and how fast it should be</title>
<desc id="desc">$told</desc>
<style>
  svg { font: 13px system-ui, sans-serif; }
  .ground { fill: #fff; } text { fill: #1f2328; } .dim { fill: #59636e; }
  .bar { fill: #0969da; } .met { fill: #1a7f37; } .goal { stroke: #1f2328; stroke-dasharray: 4 3; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; } text { fill: #f0f6fc; } .dim { fill: #9198a1; }
    .bar { fill: #4493f8; } .met { fill: #3fb950; } .goal { stroke: #f0f6fc; }
  }
</style>
<rect class="ground" width="$width" height="$height" rx="6"/>
<text class="dim" x="$middle" y="30" text-anchor="middle">goal</text>
$bars
<path class="goal" d="M$middle 38V$foot"/>
</svg>
""")
_BAR: Final = Template("""\
<text x="$name_x" y="$y" text-anchor="end">$what</text>
<rect class="$kind" x="$left" y="$bar_y" width="$long" height="14" rx="2"/>
<text class="dim" x="$value_x" y="$y">$told</text>""")


def picture(figures: Sequence[Figure]) -> str:
    """Return a chart as SVG, to be read by day, by night and by ear: how far on the way to its goal each figure is."""
    height = _TOP + _STEP * len(figures) + 4
    return _PICTURE.substitute(
        width=_WIDTH,
        height=height,
        middle=_LEFT + _GOAL,
        foot=height - 12,
        told=escape(" ".join(map(_told, figures))),
        bars="\n".join(_bar(number, one) for number, one in enumerate(figures)),
    )


def _told(one: Figure) -> str:
    goal = one.goal
    return f"{goal.what}: {goal.shown(one.value)}, wanted is {_least(goal)}."


def _least(goal: Goal) -> str:
    return f"{'at most' if goal.less else 'at least'} {goal.shown(goal.goal)}"


def _bar(number: int, one: Figure) -> str:
    goal, y = one.goal, _TOP + _STEP * number
    reached = goal.reached(one.value)
    return _BAR.substitute(
        what=escape(goal.what),
        kind="met" if reached >= 1 else "bar",
        left=_LEFT,
        long=round(_GOAL * min(reached, _LONGEST)),
        name_x=_LEFT - 10,
        value_x=_LEFT + _GOAL * _LONGEST + 10,
        y=y + 12,
        bar_y=y,
        told=f"{goal.shown(one.value)}, {_least(goal)}",
    )
