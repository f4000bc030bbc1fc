"""Draws the throughput: `python -m bench.plot RESULTS.json PICTURE.svg`, in an environment that has matplotlib."""
# pyright: reportMissingImports=false

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Bar", "bars", "draw"]

_COLOURS = {"bare": "#9aa5b1", "humus": "#2f855a", "other": "#3b6ea5"}
_LABELS = {"bare": "the bare client, committing nothing", "humus": "humus", "other": "others"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One candidate: messages a second, as median, least and most."""

    name: str
    kind: str
    median: float
    least: float
    most: float


def bars(results: Mapping[str, Any]) -> list[Bar]:
    """Return what there is to draw of a throughput's JSON, the fastest first; who has no figures is not drawn."""
    found = []
    for name in results["candidates"]:
        spread = results["summary"].get(name, {}).get("msgs_per_s")
        if spread is not None:
            kind = "other" if name in results.get("others", ()) else name.split("-")[0]
            found.append(Bar(name, kind, spread["median"], spread["least"], spread["most"]))
    return sorted(found, key=lambda bar: -bar.median)


def draw(results: Mapping[str, Any], picture: Path) -> None:
    """Draw the bars on a logarithmic scale."""
    import matplotlib as mpl  # noqa: PLC0415 - the rest is for everybody

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "bench"  # the same picture for the same figures
    from matplotlib import pyplot as plt  # noqa: PLC0415

    found = bars(results)[::-1]
    figure, axes = plt.subplots(figsize=(9, 0.34 * len(found) + 1.4))
    for at, bar in enumerate(found):
        reach = [[bar.median - bar.least], [bar.most - bar.median]]
        axes.barh(at, bar.median, xerr=reach, color=_COLOURS[bar.kind], ecolor="#333333", capsize=2, height=0.7)
        axes.text(bar.most * 1.08, at, f"{bar.median:,.0f}", va="center", fontsize=8)
    axes.set_yticks(range(len(found)), [bar.name for bar in found], fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(min(bar.least for bar in found) / 2, max(bar.most for bar in found) * 4)
    axes.set_xlabel("messages a second, logarithmic: median, least and most of the rounds", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    kinds = [kind for kind in _COLOURS if any(bar.kind == kind for bar in found)]
    handles = [plt.Rectangle((0, 0), 1, 1, color=_COLOURS[kind]) for kind in kinds]
    axes.legend(handles, [_LABELS[kind] for kind in kinds], loc="lower right", fontsize=8, frameon=False)
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]))
