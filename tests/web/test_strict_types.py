"""Every request model of every function: values of another type are refused, not converted."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import logkeep
from logkeep.apis.css.settings import SettingsRequest
from logkeep.errors import Invalid
from logkeep.events.segments import EventBatch
from logkeep.logs.head import Totals
from logkeep.web.parsing import json_model, query_model

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parent.parent.parent
# By JSON type, what pydantic would convert.
IN_A_BODY: dict[str, list[Any]] = {
    "integer": [True, False, "7_0", "+7", " 7", "7.0", "0x7", 7.5, [7], {}],
    "boolean": [1, 0, 1.0, "yes", "on", "1", "t", [True]],
    "string": [7, True, 1.5, ["x"], {}],
    "array": ["x", 7, {"0": "x"}],
}
IN_A_QUERY = {
    "integer": ["true", "7_0", "+7", " 7", "7 ", "7.0", "1e3", "0x7", "\u0667"],
    "boolean": ["1", "0", "yes", "on", "t", "y"],
}


def used_as(how: str) -> list[type[BaseModel]]:
    """The models of `app.query(…)` or `app.json_body(…)`, wherever that is called."""
    for found in pkgutil.walk_packages(logkeep.__path__, "logkeep."):
        if "._" not in found.name:  # the scanner is a library in C, but no module of Python's
            importlib.import_module(found.name)
    files = [*(ROOT / "functions").glob("*/app.py"), *(ROOT / "layers" / "common" / "logkeep").rglob("*.py")]
    names = {
        name for path in files for name in re.findall(rf"app\.{how}\(([A-Z]\w+)", path.read_text())
    }  # fmt: skip
    models = {each.__name__: each for each in subclasses(BaseModel)}
    return [models[name] for name in sorted(names)]


def subclasses(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def fields(model: type[BaseModel], hostile: dict[str, list[Any]]) -> Iterator[tuple[str, Any]]:
    """The names of fields, each with every value that does not have its type."""
    for name, schema in model.model_json_schema()["properties"].items():
        kinds = {each.get("type") for each in schema.get("anyOf", [schema])} - {"null"}
        if len(kinds) == 1 and (kind := kinds.pop()) in hostile:
            yield from ((name, value) for value in hostile[kind])


def refused(error: pytest.ExceptionInfo[Invalid]) -> set[Any]:
    """The names of all fields that do not fit."""
    cause = error.value.__cause__
    assert isinstance(cause, ValidationError)
    return {each["loc"][0] for each in cause.errors() if each["loc"]}


BODIES, QUERIES = used_as("json_body"), used_as("query")


def test_the_models_are_found() -> None:
    assert {"SettingsRequest", "EventBatch", "Totals", "SearchRequest"} <= {each.__name__ for each in BODIES}
    assert {"AppendQuery", "EventQuery", "RecordQuery", "ConsoleQuery"} <= {each.__name__ for each in QUERIES}


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
def test_a_field_of_a_body_takes_no_other_type(model: type[BaseModel]) -> None:
    for name, value in fields(model, IN_A_BODY) if model.model_fields else ():
        with pytest.raises(Invalid) as error:
            json_model(model, json.dumps({name: value}).encode())
        assert name in refused(error), (name, value)


@pytest.mark.parametrize("model", QUERIES, ids=lambda model: model.__name__)
def test_a_parameter_takes_only_plain_digits_and_words(model: type[BaseModel]) -> None:
    for name, value in fields(model, IN_A_QUERY) if model.model_fields else ():
        with pytest.raises(Invalid) as error:
            query_model(model, {name: [value]}, {})
        assert name in refused(error), (name, value)


@pytest.mark.parametrize("text", ["true", '"1795334400000"', '"7_0"', "1795334400000.5", "1e400", "[1]"])
def test_the_time_of_an_event_is_a_number(text: str) -> None:
    body = f'{{"events": [{{"occur_time": {text}, "event_type": "normal", "event_info": ""}}]}}'
    with pytest.raises(Invalid, match=r"^events\.0\.occur_time: must be a whole number"):
        json_model(EventBatch, body.encode())


def test_a_number_with_a_fraction_of_zero_equals_its_integer() -> None:
    body = b'{"events": [{"occur_time": 1795334400000.0, "event_type": "normal", "event_info": ""}]}'
    (event,) = json_model(EventBatch, body).events
    assert (event.occur_time, type(event.occur_time)) == (1795334400000, int)
    assert json_model(Totals, b'{"bytes": 60.0, "lines": 2.0}') == json_model(Totals, b'{"bytes": 60, "lines": 2}')


def test_what_published_clients_send_is_taken() -> None:
    """A vendor's JSON parsers take digits for a number; our own fields are numbers."""
    taken = json_model(SettingsRequest, b'{"keep_days": "30", "auto_enable": "true", "period": "", "agency": null}')
    assert (taken.keep_days, taken.auto_enable, taken.period, taken.agency) == (30, True, None, None)
    for name in ("backup_keep_days", "full_every"):
        with pytest.raises(Invalid, match=f"^{name}: must be a whole number"):
            json_model(SettingsRequest, f'{{"{name}": "7"}}'.encode())


def test_settings_are_named_as_any_published_client_names_them() -> None:
    for path, bucket in (
        ("log_base_path", "log_bucket"),
        ("logBasePath", "logBucket"),
        ("log_base_path", "log_Bucket"),
    ):
        taken = json_model(SettingsRequest, f'{{"{path}": "css/log", "{bucket}": "b"}}'.encode())
        assert (taken.log_base_path, taken.log_bucket) == ("css/log", "b")
