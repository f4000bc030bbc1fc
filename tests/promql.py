"""Whether a query asks for what is there: its metrics, its labels, and the values of labels that have few.

The labels are followed through the query as Prometheus does it: what an aggregation keeps, what two sides are matched
by. A label that is not there is no error in Prometheus: the query just finds nothing, or adds up what it should not.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import promql_parser as promql
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Exported", "Faulty", "check"]

OF_THE_SCRAPE: Final = frozenset({"instance", "job"})
"""Labels that Prometheus adds to whatever it reads."""
_SETS: Final = frozenset({"and", "or", "unless"})
_ALTERNATIVES: Final = re.compile(r"\w+(\|\w+)*")
Labels = frozenset[str]
_NONE: Final[Labels] = frozenset()


class Faulty(Exception):  # noqa: N818 - reads as what it is said of
    """A query that asks for what is not there: what and where."""


@dataclass(frozen=True)
class Exported:
    """What a service shows to Prometheus: of each sample's name its labels, and their values."""

    samples: Mapping[str, Mapping[str, frozenset[str]]]
    closed: frozenset[str]
    """The labels all of whose values are among the samples."""

    @classmethod
    def read(cls, page: str, closed: Iterable[str]) -> "Exported":
        """Read a page of metrics as text."""
        found: dict[str, dict[str, set[str]]] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for name, value in sample.labels.items():
                    labels.setdefault(name, set()).add(value)
        return cls(
            {name: {label: frozenset(values) for label, values in labels.items()} for name, labels in found.items()},
            frozenset(closed),
        )


def check(query: str, exported: Exported) -> Labels:
    """Return the labels that the query's result has.

    Raises:
        Faulty: it asks for a metric, a label or a value that is not exported.
        ValueError: it is no PromQL.
    """
    return _labels(promql.parse(query), exported)


def _labels(expr: promql.Expr, exported: Exported) -> Labels:
    match expr:
        case promql.NumberLiteral() | promql.StringLiteral():
            found = _NONE
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            found = _labels(expr.expr, exported)
        case promql.MatrixSelector():
            found = _selected(expr.vector_selector, exported)
        case promql.VectorSelector():
            found = _selected(expr, exported)
        case promql.Call():
            found = _called(expr, exported)
        case promql.AggregateExpr():
            found = _aggregated(expr, exported)
        case promql.BinaryExpr():
            found = _combined(expr, exported)
        case _:
            raise Faulty(f"{expr}: not understood here")
    return found


def _selected(selector: promql.VectorSelector, exported: Exported) -> Labels:
    labels = exported.samples.get(selector.name or "")
    if labels is None:
        raise Faulty(f"{selector.name}: no such metric")
    for matcher in selector.matchers.matchers:
        if matcher.name not in labels.keys() | OF_THE_SCRAPE:
            raise Faulty(f"{selector}: the metric has no label {matcher.name}, but {', '.join(sorted(labels))}")
        # Without variables and patterns the values themselves are asked for; the empty one means: not there.
        if matcher.name in exported.closed and _ALTERNATIVES.fullmatch(matcher.value):
            unknown = set(matcher.value.split("|")) - labels[matcher.name]
            if unknown:
                raise Faulty(f"{selector}: {matcher.name} is never {', '.join(sorted(unknown))}")
    return frozenset(labels) | OF_THE_SCRAPE


def _called(call: promql.Call, exported: Exported) -> Labels:
    labels = _NONE.union(*(_labels(arg, exported) for arg in call.args))
    if call.func.name == "histogram_quantile":
        if "le" not in labels:
            raise Faulty(f"{call.func.name}: needs the label le, and {', '.join(sorted(labels))} are left")
        return labels - {"le"}
    return labels


def _aggregated(expr: promql.AggregateExpr, exported: Exported) -> Labels:
    labels = _labels(expr.expr, exported)
    if expr.modifier is None:
        return _NONE
    by = frozenset(expr.modifier.labels)
    _all_in(by, labels, "by or without", expr)
    return by if expr.modifier.type == promql.AggModifierType.By else labels - by


def _combined(expr: promql.BinaryExpr, exported: Exported) -> Labels:
    left, right = _labels(expr.lhs, exported), _labels(expr.rhs, exported)
    numbers = [isinstance(side, promql.NumberLiteral) for side in (expr.lhs, expr.rhs)]
    if any(numbers):
        return right if numbers[0] else left
    matching = expr.modifier.matching if expr.modifier is not None else None
    if str(expr.op).strip() == "or":
        return left & right
    if matching is None:
        if left != right:
            raise Faulty(f"{expr.op}: the sides differ by {', '.join(sorted(left ^ right))}, so nothing matches")
        return left
    named = frozenset(matching.labels)
    _all_in(named, left, "on or ignoring, left", expr)
    _all_in(named, right, "on or ignoring, right", expr)
    on = named if matching.type == promql.LabelModifierType.Include else left & right - named
    one_to_one = expr.modifier is not None and expr.modifier.card == promql.VectorMatchCardinality.OneToOne
    return on if one_to_one and str(expr.op).strip() not in _SETS else left


def _all_in(some: Labels, labels: Labels, where: str, expr: promql.Expr) -> None:
    missing = some - labels
    if missing:
        raise Faulty(f"{where}: {', '.join(sorted(missing))} is no label of: {expr.prettify()}")
