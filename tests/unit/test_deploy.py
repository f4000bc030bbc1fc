"""`deploy/` against the code: ports, paths, times and names that are written in two places say the same."""

import configparser
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from orders import Config

from humus.config import load
from humus.health import Watch, _own_checks, _serving
from humus.health._pages import Pages
from humus.queue import _run, yaml_source
from humus.queue.kafka import Runtime, _assignment, _loop, _runtime
from humus.telemetry import _setup

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
KUBERNETES: Final = DEPLOY / "kubernetes"
CONFIG: Final = KUBERNETES / "base/config.yaml"
WORKLOADS: Final = {
    "Deployment": KUBERNETES / "members/deployment.yaml",
    "StatefulSet": KUBERNETES / "static-members/statefulset.yaml",
}

STOP_BESIDE_THE_DRAIN: Final = sum(
    (
        _assignment.COMMIT_GRACE,
        _loop._GHOSTS_WITHIN,  # noqa: SLF001 - what a stop may take is the sum of them
        _loop._CLOSE_WITHIN,  # noqa: SLF001
        _runtime._TASKS_WITHIN,  # noqa: SLF001
        _run.CLOSING_SECONDS,
        _serving._CLOSE_WITHIN,  # noqa: SLF001
        _setup.FLUSH_SECONDS,
    )
)
FOR_THE_USER: Final = 5.0
"""Seconds for the user's own shutdown functions."""


def manifest(path: Path) -> Any:
    """Return a file of one YAML document."""
    return yaml.safe_load(path.read_text())


def pod(kind: str) -> dict[str, Any]:
    """Return the pod's specification of a workload."""
    found: dict[str, Any] = manifest(WORKLOADS[kind])["spec"]["template"]["spec"]
    return found


def environment(kind: str) -> dict[str, str]:
    """Return the variables of a workload's container, as its first pod sees them."""
    found = {}
    for variable in pod(kind)["containers"][0]["env"]:
        if "valueFrom" in variable:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
        found[variable["name"]] = variable.get("value", "order-service-0")
    return found


def config(kind: str) -> Config:
    """Return the configuration that a workload's first pod has."""
    return load(yaml_source(CONFIG), Config, environment(kind))


def unit() -> configparser.SectionProxy:
    """Return the systemd unit's section of the service; of a key that is there twice, the last one."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "systemd/order-service.service")
    return parser["Service"]


def dockerfile() -> str:
    """Return the Dockerfile without comments and continued lines."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    return text.replace("\\\n", "")


def needs(drain_timeout: float | None) -> float:
    """Return the seconds after which a graceful stop is over for sure (D60)."""
    assert drain_timeout is not None
    return drain_timeout + STOP_BESIDE_THE_DRAIN + FOR_THE_USER


both = pytest.mark.parametrize("kind", WORKLOADS)


@both
def test_a_pod_is_not_killed_in_its_drain(kind: str) -> None:
    """D60: the pod's grace is longer than the longest graceful stop, with what the user's own functions may take."""
    assert pod(kind)["terminationGracePeriodSeconds"] >= needs(config(kind).kafka.drain_timeout)


def test_a_unit_is_not_killed_in_its_drain() -> None:
    """D60: so is the time that systemd gives, with the example's own configuration; the service alone is told."""
    settings = load(yaml_source(ROOT / "examples/orders/config.yaml"), Config, {}).kafka
    assert float(unit()["TimeoutStopSec"]) >= needs(settings.drain_timeout)
    assert (unit()["KillSignal"], unit()["KillMode"]) == ("SIGTERM", "mixed")


def test_the_sum_in_the_text_is_that_of_the_code() -> None:
    """What the page adds up is no less than what the code may take, and the example's own total."""
    page = (DEPLOY / "README.md").read_text()
    rows = [int(number) for number in re.findall(r"^\| [^|]+ \| (\d+) \|$", page, re.MULTILINE)]
    [total] = re.findall(r"^\| `termination.* \| \*\*(\d+)\*\* \|$", page, re.MULTILINE)
    drain_timeout = config("Deployment").kafka.drain_timeout
    assert rows[0] == drain_timeout
    assert sum(rows[1:]) >= STOP_BESIDE_THE_DRAIN + FOR_THE_USER
    assert sum(rows) == int(total) == pod("Deployment")["terminationGracePeriodSeconds"]
    assert STOP_BESIDE_THE_DRAIN <= 20, "the page says: drain_timeout + 20 s + your own"


@both
def test_the_probes_ask_what_the_server_answers(kind: str) -> None:
    """Each probe has its path, on the port that the configuration opens to the pod's network."""
    health = config(kind).health
    assert health is not None
    assert health.host == "0.0.0.0"  # noqa: S104 - what a probe needs
    container = pod(kind)["containers"][0]
    [port] = container["ports"]
    assert port == {"name": "health", "containerPort": health.port}
    unused: Any = None
    there = Pages(Watch(), unused, unused, None)._pages  # noqa: SLF001 - the paths are told nowhere else
    for probe in ("startup", "liveness", "readiness"):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked == {"path": f"/health/{probe}", "port": "health"}
        assert asked["path"] in there
    assert container["readinessProbe"]["timeoutSeconds"] > _own_checks.WITHIN


@both
def test_the_configuration_makes_a_runtime(kind: str) -> None:
    """With the pod's variables the file is a configuration, and a runtime can be made of it."""
    settings = config(kind).kafka
    assert settings.brokers == ("kafka:9092",)
    Runtime.from_settings(settings, {"orders": lambda _msg: None})


def test_a_static_member_is_named_like_its_pod() -> None:
    """The StatefulSet's variables are overrides of the configuration, and a session outlasts a stop and a start."""
    settings = config("StatefulSet").kafka
    assert settings.group_instance_id == "order-service-0"
    assert settings.session_timeout is not None
    assert settings.session_timeout > pod("StatefulSet")["terminationGracePeriodSeconds"] + 30
    assert config("Deployment").kafka.group_instance_id is None


def test_the_variants_differ_in_their_variables_alone() -> None:
    """What is said of a pod is said of both kinds of it."""
    pods = [pod(kind) for kind in WORKLOADS]
    for one in pods:
        del one["containers"][0]["env"]
    assert pods[0] == pods[1]


def test_names_and_labels_fit() -> None:
    """The selectors find the pods; what names the workload names one that is there."""
    labels = {"app.kubernetes.io/name": "order-service"}
    for path in WORKLOADS.values():
        workload = manifest(path)
        assert workload["spec"]["selector"]["matchLabels"] == labels
        assert workload["spec"]["template"]["metadata"]["labels"] == labels
    assert manifest(KUBERNETES / "base/poddisruptionbudget.yaml")["spec"]["selector"]["matchLabels"] == labels
    service = manifest(KUBERNETES / "static-members/service.yaml")
    assert service["spec"]["selector"] == labels
    assert service["metadata"]["name"] == manifest(WORKLOADS["StatefulSet"])["spec"]["serviceName"]
    [volume] = pod("Deployment")["volumes"]
    [generated] = manifest(KUBERNETES / "base/kustomization.yaml")["configMapGenerator"]
    assert volume["configMap"]["name"] == generated["name"]
    assert (KUBERNETES / "base" / generated["files"][0]) == CONFIG


def test_keda_scales_on_the_group_of_the_service() -> None:
    """Group, topic and brokers of the trigger are those of the configuration; numbers are text, as KEDA wants them."""
    scaled = manifest(KUBERNETES / "members/scaledobject.yaml")["spec"]
    assert scaled["scaleTargetRef"]["name"] == manifest(WORKLOADS["Deployment"])["metadata"]["name"]
    assert "replicas" not in manifest(WORKLOADS["Deployment"])["spec"], "two would set the number of pods"
    [trigger] = scaled["triggers"]
    asked = trigger["metadata"]
    settings = config("Deployment").kafka
    assert asked["consumerGroup"] == settings.group_id
    assert asked["topic"] in {topic.name for topic in settings.topics}
    assert asked["offsetResetPolicy"] == settings.auto_offset_reset
    assert asked["bootstrapServersFromEnv"] in environment("Deployment")
    assert all(isinstance(value, str) for value in asked.values())


@pytest.mark.parametrize("folder", ["base", "members", "static-members"])
def test_every_manifest_is_applied(folder: str) -> None:
    """A kustomization names each file of its folder."""
    found = manifest(KUBERNETES / folder / "kustomization.yaml")
    named = {name for name in found["resources"] if not name.startswith("..")}
    named |= {name for each in found.get("configMapGenerator", []) for name in each["files"]}
    assert named | {"kustomization.yaml"} == {path.name for path in (KUBERNETES / folder).iterdir()}


@both
def test_the_image_is_what_the_pod_runs(kind: str) -> None:
    """User, port, configuration file and arguments of the image are those of the manifests."""
    text, spec = dockerfile(), pod(kind)
    container = spec["containers"][0]
    user = spec["securityContext"]["runAsUser"]
    assert f"USER {user}:{spec['securityContext']['runAsGroup']}\n" in text
    assert f"EXPOSE {container['ports'][0]['containerPort']}\n" in text
    [mount] = container["volumeMounts"]
    assert container["args"] == [f"{mount['mountPath']}/config.yaml"]
    assert f'CMD ["{container["args"][0]}"]' in text
    assert f"COPY {CONFIG.relative_to(ROOT)} {container['args'][0]}\n" in text
    assert "http://127.0.0.1:8080/health/liveness" in text


def test_the_image_is_built_of_what_is_there() -> None:
    """Each file that is copied exists, and is let into the build; what is installed is checked by its hash."""
    text = dockerfile()
    copied = {
        source for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for source in line.split()[:-1]
    }
    let_in = set(re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE))
    assert copied == let_in
    assert all((ROOT / source).exists() for source in copied)
    installs = re.findall(r"pip (?:--python \S+ )?install (.+?)(?= &&|$)", text, re.MULTILINE)
    assert len(installs) == 3
    assert all("--require-hashes" in one or "--no-index" in one for one in installs)


@pytest.mark.parametrize("lock", ["build.txt", "deploy.txt"])
def test_the_image_is_made_of_what_was_tested(lock: str) -> None:
    """Each version in the image is that of the locked development environment."""
    pins = {name: set(_pins(ROOT / "requirements" / name)) for name in (lock, "dev.txt")}
    assert pins[lock]
    assert pins[lock] <= pins["dev.txt"]


def _pins(path: Path) -> list[str]:
    return re.findall(r"^([a-z0-9.-]+==\S+)", path.read_text(), re.MULTILINE)


def test_systemd_does_not_restart_what_a_restart_cannot_mend() -> None:
    """The exit code of a fault in the configuration is the one that is left alone."""
    assert unit()["RestartPreventExitStatus"] == str(_run.CONFIG_ERROR)
    assert unit()["Restart"] == "on-failure"
    assert unit()["ExecStart"].endswith("/orders.py /etc/order-service/config.yaml")
