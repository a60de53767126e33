"""docs/openapi.json is what the code says, and what the functions answer is what it says."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from local import ROOT
from local.template import Template
from logkeep import errors, logid
from logkeep.errors import LogkeepError
from openapi.__main__ import files
from openapi.document import operations

pytestmark = pytest.mark.unit

TEMPLATE = Template.load()
DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text())
PAGE = (ROOT / "docs" / "api.html").read_text()
OPERATIONS = [each for methods in DOCUMENT["paths"].values() for each in methods.values()]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return {path.name: text for path, text in files().items()}


@pytest.mark.parametrize("name", ["openapi.json", "api.html"])
def test_the_committed_files_are_those_that_make_openapi_writes(made: dict[str, str], name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == made[name], "run `make openapi` and commit what it writes"


def test_it_has_every_route_of_the_template_and_nothing_else() -> None:
    described = {f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {each.key.replace("+}", "}") for each in TEMPLATE.routes if each.path}


def test_it_is_a_valid_document_with_one_name_for_each_operation() -> None:
    names = [each["operationId"] for each in OPERATIONS]
    assert len(set(names)) == len(names)
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_components_have_names_that_openapi_allows() -> None:
    for components in DOCUMENT["components"].values():
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in components)


def test_limits_are_in_the_keywords_of_json_schema() -> None:
    """pydantic writes `ge` for a limit beside a named type with a validator (its issue 11576)."""
    assert not re.findall(r'"(?:ge|gt|le|lt|multiple_of|min_length|max_length)":', json.dumps(DOCUMENT))


def test_every_reference_leads_somewhere() -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT))):
        found = DOCUMENT
        for step in reference.split("/"):
            found = found[step]
        assert found


def test_every_operation_has_a_summary_an_answer_and_its_proof() -> None:
    for each in OPERATIONS:
        assert each["summary"], each["operationId"]
        assert any(status < "400" for status in each["responses"]), each["operationId"]
        assert bool(each["security"]) == ("401" in each["responses"] and each["operationId"] != "issue_token")


def test_every_parameter_of_a_path_is_described() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            shown = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert shown == set(re.findall(r"\{(\w+)\}", path))


def test_every_error_of_the_domain_is_one_of_some_route() -> None:
    """So an error that is named nowhere after "Raises" is noticed. The three are raised below every handler."""
    documented = {kind for each in operations(TEMPLATE) for kind in each.use.errors}
    kinds = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, LogkeepError)}
    leaves = {each for each in kinds if not each.__subclasses__()}
    everywhere: set[type[LogkeepError]] = {
        errors.TokenMissing,
        errors.TokenInvalid,
        errors.TokenExpired,
        errors.TokenDisabled,
        errors.AuthorizationRefused,
        errors.SignatureRefused,
        errors.Unavailable,
        errors.LogChanged,  # documented as Busy, which it is to a client
    }
    everywhere |= {errors.OtherProject, errors.ScopeMissing, errors.RouteNotFound, errors.WrongFormat, errors.Corrupt}
    assert leaves - documented - everywhere == set()


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("build/5c77b71c/stage1", True),
        ("build/..a/.b", True),
        ("build/../stage1", False),
        ("build/./stage1", False),
        ("check/a", True),
        ("check/a/b", True),
        ("check/a/b/c", False),
        ("task/a/0/b/00", False),
        ("task/a/0/b/0", True),
        (f"check/{'a' * 128}", True),
        (f"check/{'a' * 129}", False),
        ("other/a", False),
    ],
)
def test_the_pattern_of_log_ids_says_what_the_code_says(text: str, is_id: bool) -> None:
    assert bool(re.search(logid.pattern(), text)) is is_id
    try:
        logid.LogId.parse(text)
    except errors.Invalid:
        assert not is_id
    else:
        assert is_id


def test_the_page_loads_nothing() -> None:
    assert "default-src 'none'" in PAGE.replace("&#x27;", "'")
    assert "<script" not in PAGE
    assert not re.search(r'(src|srcset|action|data)\s*=\s*"', PAGE)
    assert set(re.findall(r'href="([^#"][^"]*)"', PAGE)) == {"openapi.json"}


def _anchors() -> Iterator[Any]:
    yield from re.findall(r'id="([^"]+)"', PAGE)


def test_every_link_of_the_page_leads_somewhere() -> None:
    assert {each[1:] for each in re.findall(r'href="(#[^"]+)"', PAGE)} <= set(_anchors())
    assert len(set(_anchors())) == len(list(_anchors()))
