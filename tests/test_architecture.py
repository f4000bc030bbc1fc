"""Who may import whom. The table is the map; a module that is not in it has no place yet."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from typing import Final

import pytest

SRC: Final = Path(__file__).parent.parent / "src"
PURE: Final = (
    "_message",
    "_dead_letter",
    "_offsets",
    "_retry",
    "_partition",
    "_commits",
    "_flow",
    "_stalls",
    "_log_ends",
    "_commands",
    "_assignment",
)
"""The core of the Kafka runtime: it decides, and has no thread, clock, randomness, log or broker."""
NOT_IN_THE_CORE: Final = {
    *("threading", "asyncio", "time", "random", "queue", "concurrent", "socket", "os", "logging"),
    *("confluent_kafka", "opentelemetry"),
}
CLIENT: Final = {
    "humus.queue.kafka._client": "the Consumer",
    "humus.queue.kafka._lookout": "an AdminClient",
    "humus.queue.kafka._letter_box": "a Producer",
}
"""Who may import confluent_kafka, and for what; `humus.testing` and the command line may as well."""

FLOORS: Final = (
    ("_message",),
    ("_dead_letter", "_offsets", "_retry"),
    ("_subscription",),
    ("_partition",),
    ("_commits", "_flow", "_stalls", "_log_ends", "_commands"),
    ("_assignment",),
    ("_status", "_conditions", "_delivery_context", "_owned_keys", "_security"),
    ("_figures", "_client_figures", "_timing"),
    ("_options", "_snapshot", "_worker", "_client_errors"),
    ("_async_worker", "_thread_worker"),
    ("_client_config", "_client", "_letter_box", "_lookout", "_settings"),
    ("_instruments", "_trace_headers"),
    ("_meters", "_client_meters"),
    ("_observer",),
    ("_telemetry",),
    ("_diagnosis", "_handshake", "_tokens"),
    ("_loop",),
    ("_runtime",),
    ("__init__",),
)
"""`humus/queue/kafka`, from the ground up: a module imports from lower floors, or from beside it, never from above."""

PACKAGES: Final[dict[str, set[str]]] = {
    "humus.errors": set(),
    "humus._version": set(),
    "humus": {"humus._version"},
    "humus.config": {"humus.errors"},
    "humus.telemetry": {"humus.errors"},
    "humus.health": {"humus.errors", "humus.queue._describe"},
    "humus.queue": {"humus.errors", "humus.config", "humus.health", "humus.telemetry"},
    "humus.queue.kafka": {
        *("humus.errors", "humus.config", "humus.telemetry", "humus._version"),
        *("humus.queue._protocols", "humus.queue._processors", "humus.queue._describe"),
    },
    "humus.testing": {"humus.errors", "humus.config", "humus.queue", "humus.queue.kafka"},
    "humus.cli": {"humus.errors", "humus._version", "humus.config", "humus.queue", "humus.queue.kafka"},
}
"""What each package may import from humus, beside itself."""


def modules() -> dict[str, Path]:
    """Return all modules by name."""
    found = {}
    for path in sorted((SRC / "humus").rglob("*.py")):
        name = ".".join(path.relative_to(SRC).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


MODULES: Final = modules()


def imports(name: str) -> set[str]:
    """Return the modules that a module imports, wherever in it; those for type checkers alone are left out."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in _run_time_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
            found.update(one if (one := f"{base}.{alias.name}") in MODULES else base for alias in node.names)
    return found


def _run_time_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _run_time_nodes(child)


def package_of(name: str) -> str:
    """Return the package in the table that a module belongs to."""
    return max((one for one in PACKAGES if name == one or name.startswith(one + ".")), key=len)


def kafka(name: str) -> str:
    """Return the full name of a module of the Kafka runtime."""
    return "humus.queue.kafka" if name == "__init__" else f"humus.queue.kafka.{name}"


@pytest.mark.parametrize("name", PURE)
def test_the_core_is_pure(name: str) -> None:
    """No thread, clock, randomness, log or broker in what decides: time and luck come as arguments."""
    roots = {imported.partition(".")[0] for imported in imports(kafka(name))}
    assert not roots & NOT_IN_THE_CORE


def test_the_core_stands_on_nothing_but_itself() -> None:
    """What the core imports of humus, directly or not, is itself, and what describes a subscription."""
    allowed = {kafka(name) for name in (*PURE, "_subscription")}
    allowed |= {"humus.errors", "humus.queue._processors", "humus.queue._protocols"}
    for name in PURE:
        inside = {imported for imported in imports(kafka(name)) if imported.startswith("humus")}
        assert inside <= allowed, f"{name} imports {inside - allowed}"


def test_every_module_has_its_floor() -> None:
    """A new module of the Kafka runtime is put into the table, so that its place is decided."""
    placed = [kafka(name) for floor in FLOORS for name in floor]
    assert len(placed) == len(set(placed))
    there = {name for name in MODULES if name == "humus.queue.kafka" or name.startswith("humus.queue.kafka.")}
    assert there <= set(placed), f"not in FLOORS: {there - set(placed)}"


def test_imports_go_downwards_only() -> None:
    """No module of the Kafka runtime imports from a floor above, and none from a module that imports it."""
    floor_of = {kafka(name): number for number, floor in enumerate(FLOORS) for name in floor}
    for name, floor in floor_of.items():
        if name not in MODULES:
            continue
        for imported in imports(name) & set(floor_of):
            assert floor_of[imported] <= floor, f"{name} imports {imported}, which is above it"
            assert name not in imports(imported) or name == imported, f"{name} and {imported} import each other"


@pytest.mark.parametrize("name", MODULES)
def test_packages_import_only_what_they_may(name: str) -> None:
    """The queue framework knows nothing of Kafka, the Kafka runtime nothing of the application around it."""
    home = package_of(name)
    allowed = {home, *PACKAGES[home]}
    for imported in imports(name):
        if imported.partition(".")[0] == "humus":
            assert imported in allowed or package_of(imported) in allowed, f"{name} imports {imported}"


def test_only_the_client_touches_the_client() -> None:
    """What librdkafka does to you is dealt with in one place."""
    users = {name for name in MODULES if any(one.partition(".")[0] == "confluent_kafka" for one in imports(name))}
    assert {name for name in users if not name.startswith(("humus.testing", "humus.cli"))} == set(CLIENT)


def loaded_by(statement: str) -> set[str]:
    """Return the modules that are loaded after a statement in a fresh interpreter."""
    code = f"{statement}; import sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import humus", {"asyncio", "logging", "pydantic", "yaml", "confluent_kafka", "msgspec", "opentelemetry"}),
        ("import humus.errors", {"asyncio", "logging", "pydantic", "yaml", "confluent_kafka", "msgspec"}),
        ("import humus.queue", {"confluent_kafka", "opentelemetry", "typer", "rich"}),
        ("from humus import queue; queue.App, queue.run, queue.yaml_source", {"confluent_kafka", "opentelemetry"}),
        ("import humus.queue.kafka", {"yaml", "opentelemetry", "typer", "rich"}),
        (
            "import humus.testing.pytest_plugin",
            {"pydantic", "yaml", "confluent_kafka", "msgspec", "opentelemetry", "humus.queue"},
        ),
    ],
)
def test_an_import_brings_what_it_needs_and_no_more(statement: str, absent: set[str]) -> None:
    """A service that uses another queue does not pay for Kafka, and `import humus` costs next to nothing."""
    assert not loaded_by(statement) & absent


def test_every_private_name_stays_private() -> None:
    """Modules begin with an underscore: what is public is what a package re-exports."""
    public = {
        *("humus", "humus.errors", "humus.config", "humus.health", "humus.queue", "humus.queue.kafka"),
        *("humus.telemetry", "humus.testing", "humus.testing.pytest_plugin", "humus.cli"),
    }
    for name in MODULES:
        parts = name.split(".")
        assert name in public or any(part.startswith("_") for part in parts), f"{name} looks public"
