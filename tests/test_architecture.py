"""Arrows point one way: functions → web → domain ← aws."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent
LAYER = ROOT / "layers" / "common" / "logkeep"
DOMAIN = sorted(LAYER.glob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offends(path: Path, *forbidden: str) -> list[str]:
    return [name for name in imports(path) if name.startswith(forbidden)]


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: path.stem)
def test_the_domain_knows_no_aws_no_http_and_no_environment(path: Path) -> None:
    assert offends(path, "boto3", "botocore", "aws_lambda_powertools", "logkeep.aws", "logkeep.web") == []
    if path.stem != "settings":
        assert offends(path, "os", "logkeep.settings") == []


@pytest.mark.parametrize("path", sorted(LAYER.glob("aws/*.py")), ids=lambda path: path.stem)
def test_adapters_know_no_http(path: Path) -> None:
    assert offends(path, "aws_lambda_powertools", "logkeep.web") == []


@pytest.mark.parametrize("path", sorted(LAYER.glob("web/*.py")), ids=lambda path: path.stem)
def test_http_leaves_boto3_to_the_adapters(path: Path) -> None:
    assert offends(path, "boto3", "botocore", "functions") == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("functions/*/app.py")), ids=lambda path: path.parent.name)
def test_a_handler_is_a_route_and_a_call(path: Path) -> None:
    assert offends(path, "boto3", "botocore", "os", "logkeep.settings") == []
    assert len(path.read_text().splitlines()) <= 30


@pytest.mark.parametrize("path", sorted(LAYER.rglob("*.py")), ids=lambda path: str(path.relative_to(LAYER)))
def test_no_client_is_made_at_import(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        calls = (
            []
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            else [n for n in ast.walk(node) if isinstance(n, ast.Call)]
        )
        assert not any("client" in ast.unparse(call.func) for call in calls)
