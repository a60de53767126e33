"""template.yaml as local/ reads it."""

import pytest

from local.template import Failures, Route, Template, chosen, resolve

pytestmark = pytest.mark.unit

TEMPLATE = Template.load()


def routed(method: str, path: str) -> tuple[str, dict[str, str]]:
    for route in TEMPLATE.routes:
        parameters = route.match(method, path)
        if parameters is not None:
            return route.function, parameters
    raise AssertionError("no route")


@pytest.mark.parametrize(
    ("method", "path", "function", "parameters"),
    [
        ("GET", "/v1/log-file", "DownloadCheckLogs", {}),
        ("GET", "/v1/p/logs", "ListLogs", {"project_id": "p"}),
        ("GET", "/v1/p/logs/task/t/0/c/0", "ReadLog", {"project_id": "p", "log_id": "task/t/0/c/0"}),
        ("PUT", "/v1/p/logs/build/r/stage1", "SealLog", {"project_id": "p", "log_id": "build/r/stage1"}),
        ("GET", "/v4/r/task-log", "DownloadBuildLog", {"record_id": "r"}),
        ("GET", "/v1/p%2Fq/logs", "ListLogs", {"project_id": "p/q"}),
    ],
)
def test_a_request_reaches_its_function(method, path, function, parameters):
    assert routed(method, path) == (function, parameters)


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("DELETE", "/v1/p/logs"), ("GET", "/v1/log-file/x")])
def test_what_no_route_takes_goes_to_the_default_route(method, path):
    assert routed(method, path) == ("RejectUnknown", {})


def test_a_literal_segment_wins_over_a_variable_and_that_over_a_greedy_one():
    paths = ["", "/a/{rest+}", "/a/{name}", "/a/b"]
    ordered = sorted((Route("F", "GET", path) for path in paths), key=lambda route: route.rank)
    assert [route.path for route in ordered] == ["/a/b", "/a/{name}", "/a/{rest+}", ""]


def test_references_are_resolved_however_they_are_written():
    values = {"Bucket": "b", "Bucket.Arn": "arn:b"}
    declared = {
        "x": [{"Ref": "Bucket"}, {"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/logs/${Bucket}"}]
    }
    assert resolve(declared, values) == {"x": ["b", "arn:b", "arn:b/logs/b"]}


def test_a_reference_to_something_unknown_is_an_error():
    with pytest.raises(KeyError):
        resolve({"Ref": "Nothing"}, {})


def test_a_worker_says_what_becomes_of_orders_that_fail():
    assert TEMPLATE.functions["BuildRender"].failures == Failures(2, 3600, "DeadLetters")
    assert TEMPLATE.functions["BuildRender"].may_loop
    assert TEMPLATE.functions["ScheduleBackups"].failures == Failures(0, 60)
    assert TEMPLATE.functions["ReadLog"].failures == Failures()
    assert TEMPLATE.functions["BuildRender"].timeout == 900
    assert TEMPLATE.functions["ReadLog"].timeout == 29


def test_conditions_choose_resources_and_properties():
    raw = {
        "Parameters": {"Days": {"Default": 0}},
        "Conditions": {"Kept": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Days"}, 0]}]}},
        "Resources": {"A": {"Type": "T", "Condition": "Kept", "Properties": {"x": 1}}, "B": {"Type": "T"}},
    }
    plain, kept = Template(raw), Template(raw, {"Days": "7"})
    assert (list(plain.resources("T")), list(kept.resources("T"))) == (["B"], ["A", "B"])
    nothing = {"Ref": "AWS::NoValue"}
    declared = {"a": {"Fn::If": ["Kept", {"b": 1}, nothing]}, "c": [1, {"Fn::If": ["Kept", nothing, 2]}]}
    assert chosen(declared, plain.conditions) == {"c": [1, 2]}
    assert chosen(declared, kept.conditions) == {"a": {"b": 1}, "c": [1]}


def test_a_condition_of_another_form_is_an_error():
    with pytest.raises(ValueError, match="not supported"):
        _ = Template({"Conditions": {"Odd": {"Fn::Contains": []}}, "Resources": {}}).conditions
