"""Dashboard and alerts ask for what the code exports: every metric, label and value in them is looked up there."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry, generate_latest
from tests.promql import OF_THE_SCRAPE, Exported, Faulty, check

from humus.queue.kafka import _client_meters, _meters
from humus.queue.kafka._assignment import Assignment
from humus.queue.kafka._client_figures import read_statistics
from humus.queue.kafka._figures import Figures
from humus.queue.kafka._flow import Flow
from humus.queue.kafka._instruments import (
    DESTINATION,
    ERROR_TYPE,
    GROUP,
    OPERATION,
    PARTITION,
    Metric,
    Operation,
    of_partition,
)
from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Counts
from humus.queue.kafka._snapshot import figures, snapshot

FOLDER = Path(__file__).parents[2] / "examples" / "observability"
ALERTS = FOLDER / "alerts.yaml"
README = (FOLDER / "README.md").read_text("utf-8")
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]
]
TP = TopicPartition("orders", 0)
BROKER = '{"nodename": "broker:9092", "nodeid": 1, "state": "UP", "rtt": {"avg": 1, "p99": 2}}'
STATISTICS = f'{{"brokers": {{"broker:9092/1": {BROKER}}}, "cgrp": {{"join_state": "steady"}}}}'
CLOSED = (
    "state", "outcome", "kind", "statistic", "network_io_direction", "messaging_operation_name", "messaging_system",
)  # fmt: skip


def exported() -> Exported:
    """Return what a service exports once everything that is counted has happened."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)])
    meter = provider.get_meter("humus.queue.kafka")
    meters, client_meters = _meters.Meters(meter), _client_meters.ClientMeters(meter)
    # The rebalances' names are the core's own.
    core = Assignment({}, commit_interval=1, drain_timeout=1, rebalance_timeout=1, flow=Flow(1))
    of_core = figures(core, snapshot(core, "running", "billing", (), lambda _tp: None, now=0.0))
    counts = Counts(consumed=9, handled=5, skipped=1, dead_lettered=1, failed=1, lost=1, committed=9)
    told = Figures({TP: counts}, {TP: 1}, of_core.states, rebalances=of_core.rebalances)
    meters.lend("billing", lambda: told)
    meters.retried("billing", TP.topic, "ValueError")
    meters.committed("billing", 0.1, "REBALANCE_IN_PROGRESS")
    meters.sent("billing", "orders.dead", 0.1, "MSG_SIZE_TOO_LARGE")
    of_record = {**of_partition("billing", TP), OPERATION: Operation.PROCESS, ERROR_TYPE: "ValueError"}
    meters.duration.record(0.1, of_record)
    client = read_statistics(STATISTICS)
    client_meters.lend("billing", lambda: client)
    page = generate_latest(registry).decode()
    provider.shutdown()
    return Exported.read(page, CLOSED)


@pytest.fixture(scope="module")
def there() -> Exported:
    """Return what the code exports."""
    return exported()


def plain(query: str) -> str:
    """Put something in the place of Grafana's variables."""
    return re.sub(r"\$(group|topic)\b", ".*", query.replace("$__rate_interval", "1m"))


def of_dashboard() -> Iterator[tuple[str, str, str]]:
    """Find the dashboard's queries: the panel, the query, and its legend."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", plain(target["expr"]), target["legendFormat"]


QUERIES = list(of_dashboard())


def check_rules(there: Exported) -> None:
    """Check every alert."""
    for rule in RULES:
        check(rule["expr"], there)


# -- the queries ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("where", "query", "legend"), QUERIES, ids=[where for where, _, _ in QUERIES])
def test_a_panel_asks_for_what_is_exported(where: str, query: str, legend: str, there: Exported) -> None:
    """A panel's query finds its metrics, labels and values, and its legend only names labels that are left."""
    labels = check(query, there)
    assert set(re.findall(r"{{\s*(\w+)\s*}}", legend)) <= labels, where


@pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])
def test_an_alert_asks_for_what_is_exported(rule: dict[str, Any], there: Exported) -> None:
    """So does an alert's, and what it says of itself."""
    labels = check(rule["expr"], there)
    said = " ".join(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", said)) <= labels
    assert {"summary", "description"} == rule["annotations"].keys()
    assert rule["labels"]["severity"] in {"critical", "warning"}


def test_variables_ask_for_what_is_exported(there: Exported) -> None:
    """The choices of group and topic come from labels that are exported."""
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "group", "topic"]
    for variable in DASHBOARD["templating"]["list"][1:]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", plain(variable["query"]["query"]))
        assert found is not None
        assert found[2] in check(found[1], there) - OF_THE_SCRAPE


def test_every_metric_has_a_panel(there: Exported) -> None:
    """What the code exports can be seen: a new metric needs a panel."""
    shown = " ".join(query for _, query, _ in QUERIES)
    unseen = {
        family
        for name in there.samples
        if name.startswith(("humus_", "messaging_"))
        and not name.endswith("_created")
        and not re.search(rf"\b{(family := re.sub(r'_(bucket|count|sum)$', '', name))}(_bucket|_count|_sum)?\b", shown)
    }
    assert not unseen


# -- that the look-up finds something -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LAG", "COMMIT_AGE", "PARTITIONS", "HANDLED", "REBALANCES", "CLIENT_CONNECTED"])
def test_a_renamed_metric_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts fail the check once a metric of theirs has another name."""
    monkeypatch.setattr(Metric, name, "humus.something.else")
    renamed = exported()
    with pytest.raises(Faulty, match="no such metric"):
        check_rules(renamed)


@pytest.mark.parametrize("attribute", [GROUP, DESTINATION, PARTITION])
def test_a_renamed_attribute_is_noticed(attribute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So they do once a label has another name."""

    def renamed(group_id: str, tp: TopicPartition) -> dict[str, str]:
        return {
            f"{name}.new" if name == attribute else name: value for name, value in of_partition(group_id, tp).items()
        }

    monkeypatch.setattr(_meters, "of_partition", renamed)
    there = exported()
    with pytest.raises(Faulty, match=attribute.replace(".", "_")):
        check_rules(there)


def test_a_renamed_state_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And once a value has: `humus_partitions{state="halted"}` would be empty for ever."""
    monkeypatch.setattr(_meters, "STATES", tuple(state for state in _meters.STATES if state != "halted"))
    there = exported()
    with pytest.raises(Faulty, match="state is never halted"):
        check(RULES[0]["expr"], there)


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("humus_consumer_lags", "no such metric"),
        ('humus_consumer_lag{topic="a"}', "no label topic"),
        ("sum by (topic) (humus_consumer_lag)", "topic is no label"),
        ('humus_partitions{state=~"halted|stuck"}', "state is never stuck"),
        ("humus_consumer_lag > humus_commit_age_seconds", "nothing matches"),
        ("humus_consumer_lag > on (state) humus_partitions", "state is no label"),
        ("sum by (state) (sum(humus_partitions))", "state is no label"),
        ("histogram_quantile(0.9, sum(messaging_process_duration_seconds_bucket))", "needs the label le"),
    ],
)
def test_what_is_not_there_is_a_fault(query: str, fault: str, there: Exported) -> None:
    """A wrong metric, label, value or match of two sides is named."""
    with pytest.raises(Faulty, match=fault):
        check(query, there)


# -- the files themselves -------------------------------------------------------------------------------------------


def test_the_dashboard_can_be_imported() -> None:
    """Grafana gets what it needs: panels with different ids, beside each other, on the chosen data source."""
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    for panel in PANELS:
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))
        assert panel["description"]


def test_the_page_explains_each_panel_and_alert() -> None:
    """The README has a row for each panel, and a section for each alert and no others."""
    panels = re.findall(r"^\| \*\*(.+?)\*\* \|", README, re.MULTILINE)
    assert panels == [panel["title"] for panel in PANELS]
    alerts = re.findall(r"^### (Humus\w+)$", README, re.MULTILINE)
    assert alerts == [rule["alert"] for rule in RULES]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, which comes with Prometheus")
def test_alerts_fire_when_they_should() -> None:
    """Prometheus's own tool runs the alerts over made-up series: alerts_test.yaml."""
    promtool = shutil.which("promtool")
    assert promtool is not None
    done = subprocess.run(  # noqa: S603 - Prometheus's tool, on our file
        [promtool, "test", "rules", "alerts_test.yaml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
