"""What the README shows of a throughput: `python -m bench.readme bench/results/NAME.json` writes it there."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["named", "replaced", "section"]

_ROOT = Path(__file__).parents[1]
_README = _ROOT / "README.md"
_BLOCK = re.compile(r"<!-- throughput: (?P<file>\S+) -->\n.*?<!-- /throughput -->\n", re.DOTALL)


def named(readme: str) -> str:
    """Return the JSON file that the README's block is made of, relative to the root."""
    found = _BLOCK.search(readme)
    assert found, "README.md has no block between <!-- throughput: FILE --> and <!-- /throughput -->"
    return found["file"]


def replaced(readme: str, file: str, results: Mapping[str, Any], *, plotted: bool) -> str:
    """Return the README with its block made of these results."""
    named(readme)
    return _BLOCK.sub(lambda _: section(file, results, plotted=plotted), readme)


def section(file: str, results: Mapping[str, Any], *, plotted: bool) -> str:
    """Return the block, whose JSON is in a file of the repository."""
    stem = file.removesuffix(".json")
    machine, amounts, summary = results["machine"], results["amounts"], results["summary"]
    versions = f"CPython {machine['python'].split()[-1]}, Kafka {machine['kafka']}, librdkafka {machine['librdkafka']}"
    lines = [
        f"<!-- throughput: {file} -->",
        f"Measured {results['began'][:10]} on {machine['cores']} cores ({machine['cpu']}), {versions}:",
        f"{amounts['records']:,} records of 200 bytes in 8 partitions, an empty processor, commits every second,",
        f"medians of {len(results['rounds'])} alternating rounds ([all figures and their spread]({stem}.md)).",
        "",
        "| | msg/s | of the bare loop | CPU us a message | humus is x times that |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, what in results["candidates"].items():
        lines.append(f"| {' | '.join([f'{what} (`{name}`)', *_cells(name, results, summary[name])])} |")
    if plotted:
        lines += ["", f"![Messages a second, logarithmic]({stem}.svg)"]
    return "\n".join([*lines, "<!-- /throughput -->", ""])


def _cells(name: str, results: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    if "msgs_per_s" not in summary:
        return ["not run" if name in results.get("not_run", {}) else "failed", "", "", ""]
    ratio, times = summary.get("msgs_per_s_ratio"), summary.get("msgs_per_s_champion")
    return [
        f"{summary['msgs_per_s']['median']:,.0f}",
        f"{ratio['median'] * 100:.3g} %" if ratio else "",
        f"{summary['cpu_us']['median']:.2f}",
        f"{times['median']:,.3g}" if times else "",
    ]


def main(file: Path) -> None:
    """Write the README's block."""
    results = json.loads(file.read_text("utf-8"))
    relative = file.resolve().relative_to(_ROOT)
    plotted = file.with_suffix(".svg").exists()
    _README.write_text(replaced(_README.read_text("utf-8"), str(relative), results, plotted=plotted), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
