"""Results as a table for people and as JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.child import Outcome
from bench.machine import Noise
from bench.mode import Amounts, Column, Mode
from bench.series import Spread

__all__ = ["Results", "Round", "Run", "write"]


_TRIES = 2


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one candidate, and how busy the machine was before it."""

    noise: Noise
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Round:
    """One run of every candidate."""

    runs: list[Run] = field(default_factory=list)

    @property
    def outcomes(self) -> list[Outcome]:
        """How each ended."""
        return [run.outcome for run in self.runs]

    def figure(self, candidate: str, name: str) -> float | None:
        """Return a figure of a candidate, `None` if it failed."""
        for outcome in self.outcomes:
            if outcome.candidate == candidate and outcome.figures is not None:
                return outcome.total_s if name == "total_s" else outcome.figures[name]
        return None


@dataclass(frozen=True, slots=True)
class Results:
    """All that one mode measured."""

    mode: Mode
    amounts: Amounts
    machine: dict[str, Any]
    began: datetime
    candidates: Sequence[str]
    rounds: list[Round] = field(default_factory=list)
    not_run: Mapping[str, str] = field(default_factory=dict)
    """Those that can't be run on this machine, each with what is missing."""

    @property
    def stem(self) -> str:
        """What its files are called, but for the end of their names."""
        return f"{self.began:%Y-%m-%d-%H%M%S}-{self.mode.name}"

    @property
    def failed(self) -> list[Outcome]:
        """The runs that gave no figures."""
        return [outcome for one in self.rounds for outcome in one.outcomes if outcome.figures is None]

    def turns(self, number: int) -> list[str]:
        """Return who runs in a round, in order: all that can be run here, but for those that failed twice running.

        Each round begins with another one, so that coming first is nobody's advantage.
        """
        able = [name for name in self.candidates if name not in self.not_run and not self._hopeless(name)]
        turn = number % len(able) if able else 0
        return [*able[turn:], *able[:turn]]

    def _hopeless(self, candidate: str) -> bool:
        """Whether it failed in its last two runs: a hang costs the whole time-out each time."""
        ran = [outcome for one in self.rounds for outcome in one.outcomes if outcome.candidate == candidate]
        return len(ran) >= _TRIES and all(outcome.figures is None for outcome in ran[-_TRIES:])

    def spread(self, candidate: str, figure: str) -> Spread | None:
        """Return the spread of a figure over the rounds, `None` if there is none."""
        found = [one.figure(candidate, figure) for one in self.rounds]
        series = [value for value in found if value is not None]
        return Spread.of(series) if series else None

    def compared(self, candidate: str, column: Column) -> Spread | None:
        """Return the spread of a figure against the yardstick's of the same round."""
        yardstick = self._opposite(candidate, column)
        if yardstick is None:
            return None
        found = [self._compared(one, candidate, yardstick, column) for one in self.rounds]
        series = [value for value in found if value is not None]
        return Spread.of(series) if series else None

    def _opposite(self, candidate: str, column: Column) -> str | None:
        if column.against is None:
            return None
        if column.against == "champion":
            return self.mode.champion if candidate in self.mode.others else None
        return self.mode.yardstick_of(candidate)

    def _compared(self, one: Round, candidate: str, yardstick: str, column: Column) -> float | None:
        mine, its = one.figure(candidate, column.figure), one.figure(yardstick, column.figure)
        if mine is None or its is None:
            return None
        if column.against == "ratio":
            return mine / its
        if column.against == "champion":
            return its / mine
        if column.against == "difference":
            return mine - its
        call = self.mode.calls.get(candidate)
        cost = None if call is None else one.figure(call, column.figure)
        return None if cost is None else (mine - its) / cost

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists and dictionaries: every run, and the summary."""
        return {
            "mode": self.mode.name,
            "began": self.began.isoformat(timespec="seconds"),
            "machine": self.machine,
            "amounts": asdict(self.amounts),
            "yardstick": self.mode.yardstick,
            "candidates": {name: self.mode.candidates[name].what for name in self.candidates},
            "others": sorted(self.mode.others),
            "not_run": dict(self.not_run),
            "rounds": [
                [
                    {
                        "candidate": run.outcome.candidate,
                        "before": run.noise.as_dict(),
                        "total_s": round(run.outcome.total_s, 3),
                        "fault": run.outcome.fault,
                        "figures": run.outcome.figures,
                    }
                    for run in one.runs
                ]
                for one in self.rounds
            ],
            "summary": {name: self._summary(name) for name in self.candidates},
        }

    def _summary(self, candidate: str) -> dict[str, Any]:
        summary: dict[str, Any] = {}
        for column in self.mode.columns:
            spread, compared = self.spread(candidate, column.figure), self.compared(candidate, column)
            if spread is not None:
                summary[column.figure] = asdict(spread)
            if compared is not None:
                summary[f"{column.figure}_{column.against}"] = asdict(compared)
        return summary

    # -- the table ----------------------------------------------------------------------------------------------

    def as_markdown(self) -> str:
        """Return the table, and all that is needed to judge it."""
        mode = self.mode
        plot = f"![{mode.title}]({self.stem}.svg)" if mode.plotted else ""
        head = [f"# {mode.title}", mode.about, self._amount(), plot]
        parts = [*head, self._table(), self._notes(), self._circumstances()]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _amount(self) -> str:
        amount = self.mode.amount and self.mode.amount(self.amounts)
        rounds = f"{len(self.rounds)} of {self.amounts.rounds} rounds, alternating; median (least - most)"
        return f"{amount}; {rounds}." if amount else f"{rounds}."

    def _table(self) -> str:
        headings = ["candidate", *(heading for column in self.mode.columns for heading in _headings(column, self.mode))]
        rows = [headings, ["---"] + ["---:"] * (len(headings) - 1)]
        for name in self.candidates:
            cells = [name]
            for column in self.mode.columns:
                if not column.alone:
                    cells.append(_cell(self.spread(name, column.figure), column.digits))
                if column.against is not None and self.mode.yardstick is not None:
                    cells.append(_cell(self.compared(name, column), column.digits if column.alone else 2))
            if not any(cells[1:]):
                cells[1] = "not run" if name in self.not_run else "failed"
            rows.append(cells)
        return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)

    def _notes(self) -> str:
        lines = [f"- `{name}`: {self.mode.candidates[name].what}" for name in self.candidates]
        if self.mode.yardstick is not None:
            others = "".join(f", of `{name}` it is `{its}`" for name, its in self.mode.yardsticks.items())
            lines.append(
                f"- The yardstick is `{self.mode.yardstick}`{others}; ratios and differences are taken round by round."
            )
        lines.append(_COLLECTOR)
        lines += [f"- Budget: {budget}." for budget in self.mode.budgets]
        lines += [f"- **Not run**: `{name}`: {why}" for name, why in self.not_run.items()]
        for number, one in enumerate(self.rounds, 1):
            for run in one.runs:
                where = f"round {number}, `{run.outcome.candidate}`"
                if run.outcome.fault:
                    lines.append(f"- **Failed**: {where}: {run.outcome.fault}")
                if run.noise.too_much and self.mode.yardstick is not None:
                    lines.append(f"- **Noisy**: {where}: {run.noise.too_much}; its ratios count for nothing.")
        return "\n".join(lines)

    def _circumstances(self) -> str:
        lines = [f"- {name.replace('_', ' ')}: {value}" for name, value in self.machine.items() if value is not None]
        loads = "; ".join(str(one.runs[0].noise) for one in self.rounds if one.runs)
        when = f"{self.began:%Y-%m-%d %H:%M %Z}"
        return "\n".join([f"Measured {when} on:", "", *lines, f"- load before each round: {loads}"])


def write(results: Results, folder: Path) -> tuple[Path, Path]:
    """Write both forms; return where the Markdown and the JSON are. A plot belongs beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    markdown, data = folder / f"{results.stem}.md", folder / f"{results.stem}.json"
    markdown.write_text(results.as_markdown(), "utf-8")
    data.write_text(json.dumps(results.as_dict(), indent=1) + "\n", "utf-8")
    return markdown, data


_COLLECTOR: Final = (
    "- Python's garbage collector is as `humus.queue.run` sets it: for humus, for the bare client except as shipped, "
    "and for the SDK's calls. Peers are as their documentation says."
)


def _headings(column: Column, mode: Mode) -> list[str]:
    if column.against is None or column.alone or mode.yardstick is None:
        return [column.heading]
    return [column.heading, f"{column.heading}: {'x' if column.against == 'ratio' else '+'} yardstick"]


def _cell(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return ""
    median, least, most = (_number(value, digits) for value in (spread.median, spread.least, spread.most))
    return median if least == most else f"{median} ({least} - {most})"


def _number(value: float, digits: int) -> str:
    if digits and 0 < abs(value) < 0.5 * 10**-digits:
        return f"{value:.1g}"  # not nothing
    return f"{value:,.{digits}f}"
