"""The layer's rooms: imports point downward, and a module's name tells what it may use."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent
LAYER = ROOT / "layers" / "common" / "logkeep"
MODULES = sorted(path for path in LAYER.rglob("*.py") if path.name != "__init__.py")

LEAVES = {"clock", "errors", "extents", "limits", "logid", "ndjson", "params", "settings"}
# A room may import those below it; rooms of one line know nothing of each other.
ROOMS = (
    ("aws",),
    ("identity",),
    ("web",),
    ("logs",),
    ("downloads",),
    ("events",),
    ("backups",),
    ("reading", "restores"),
    ("apis",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}

PURE = {
    "aws/parts.py",
    "web/cost.py",
    "web/delivery.py",
    "web/error_bodies.py",
    "web/parsing.py",
}  # in rooms that are not
SPEAKS_AWS = ("boto3", "botocore", "logkeep.settings", "os")
SPEAKS_HTTP = ("aws_lambda_powertools", "logkeep.web.app", "logkeep.web.entrypoints", "logkeep.web.audit")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def uses(path: Path, *names: str) -> list[str]:
    """What a module imports of these modules and packages."""
    return [found for found in imports(path) if any(found == each or found.startswith(f"{each}.") for each in names)]


def room_of(path: Path) -> str:
    """The folder of a module below the layer; empty for a leaf."""
    return path.relative_to(LAYER).parts[0] if path.parent != LAYER else ""


def named(path: Path) -> str:
    return str(path.relative_to(LAYER))


def speaks_aws(path: Path) -> bool:
    name = path.stem
    return room_of(path) in {"aws"} or name in {"store", "runs", "orders"} or name.endswith("_store")


def speaks_http(path: Path) -> bool:
    return room_of(path) == "web" or path.stem == "http" or path.stem.endswith("_http")


def is_worker(path: Path) -> bool:
    """Whether orders or a schedule call it."""
    return path.stem == "worker"


def is_pure(path: Path) -> bool:
    return named(path) in PURE or not (speaks_aws(path) or speaks_http(path) or is_worker(path))


def module_at(name: str) -> Path | None:
    """The file of a module's dotted name, or of the module that a dotted name is in."""
    while name != "logkeep":
        path = LAYER.joinpath(*name.split(".")[1:]).with_suffix(".py")
        if path.exists():
            return path
        name = name.rpartition(".")[0]
    return None


def test_every_module_is_a_leaf_or_in_a_room() -> None:
    assert {path.stem for path in MODULES if not room_of(path)} == LEAVES
    assert {room_of(path) for path in MODULES} - {""} == FLOOR.keys()


def test_the_document_lists_the_rooms_from_the_highest_to_the_lowest() -> None:
    section = (
        (ROOT / "docs" / "architecture.md").read_text().partition("## Rooms of the layer\n")[2].partition("\n## ")[0]
    )
    listed = [name.partition("/")[0] for name in re.findall(r"^\| `([a-z/]+)`", section, re.MULTILINE)]
    assert sorted(listed) == sorted(FLOOR)
    assert [FLOOR[room] for room in listed] == sorted((FLOOR[room] for room in listed), reverse=True)


@pytest.mark.parametrize("room", FLOOR)
def test_a_room_says_what_it_is_for(room: str) -> None:
    text = (LAYER / room / "__init__.py").read_text()
    assert (ast.get_docstring(ast.parse(text)) or "").startswith(tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_rooms_import_only_what_lies_below_them(path: Path) -> None:
    own = room_of(path)
    for name in uses(path, "logkeep"):
        other = name.split(".")[1]
        if other in LEAVES or other == own:
            continue
        assert own, f"a leaf imports {name}"
        assert FLOOR[other] < FLOOR[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(path) == "apis"], ids=named)
def test_an_api_knows_no_other_api(path: Path) -> None:
    own = path.relative_to(LAYER / "apis").parts
    for name in uses(path, "logkeep.apis"):
        assert len(own) == 1 or name.split(".")[2] == own[0], f"{named(path)} imports {name}"


@pytest.mark.parametrize("path", [path for path in MODULES if is_pure(path)], ids=named)
def test_what_is_not_named_for_aws_or_http_is_pure(path: Path) -> None:
    if path != LAYER / "settings.py":
        assert uses(path, *SPEAKS_AWS, *SPEAKS_HTTP) == []
    for name in uses(path, "logkeep"):
        imported = module_at(name)
        assert imported is None or is_pure(imported), name


@pytest.mark.parametrize(
    "path", [path for path in MODULES if speaks_aws(path) and path.stem not in {"triggers", "logger"}], ids=named
)
def test_stores_know_no_http(path: Path) -> None:
    assert uses(path, *SPEAKS_HTTP) == []


@pytest.mark.parametrize("path", [path for path in MODULES if speaks_http(path)], ids=named)
def test_http_leaves_boto3_to_the_stores(path: Path) -> None:
    assert uses(path, "boto3", "botocore", "functions") == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("functions/*/app.py")), ids=lambda path: path.parent.name)
def test_a_handler_is_a_route_and_a_call(path: Path) -> None:
    assert uses(path, "boto3", "botocore", "os", "logkeep.settings") == []
    assert len(path.read_text().splitlines()) <= 30


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_no_client_is_made_at_import(path: Path) -> None:
    for node in parsed(path).body:
        calls = (
            []
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            else [n for n in ast.walk(node) if isinstance(n, ast.Call)]
        )
        assert not any("client" in ast.unparse(call.func) for call in calls)
