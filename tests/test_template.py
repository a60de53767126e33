"""template.yaml and the code hold together."""

import importlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import template
from local.__main__ import EMULATOR_PORT, PORT
from local.emulator import values_of
from local.invocations import PAUSES
from local.template import Template, chosen
from logkeep.backups.due_store import BY_DUE
from logkeep.backups.settings import CHAIN_MAX
from logkeep.downloads.render_store import KEPT_DAYS, ORDER_LIVES
from logkeep.identity.credentials import NEEDED, Access
from logkeep.logs.listing_store import BY_ID
from logkeep.web.app import App
from tests.patterns import matches

pytestmark = pytest.mark.unit

TEMPLATE = Template.load()
LOCKED = Template.load(overrides="BackupLockDays=30")
FUNCTIONS = TEMPLATE.resources("AWS::Serverless::Function")
ROLES = TEMPLATE.resources("AWS::IAM::Role")
STREAMING = {name for name, each in TEMPLATE.functions.items() if each.streams}
ROUTES = [route for route in TEMPLATE.routes if route.path]


def folder(name: str) -> str:
    return TEMPLATE.functions[name].folder


def handler(name: str) -> Any:
    return importlib.import_module(f"functions.{folder(name)}.app")


def statements(role: str) -> Iterator[dict[str, Any]]:
    for policy in ROLES[role]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def test_every_folder_is_deployed_and_named_like_its_function(root: Path) -> None:
    folders = {path.parent.name for path in (root / "functions").glob("*/app.py")}
    assert folders == {each.folder for each in TEMPLATE.functions.values()}
    for name, function in TEMPLATE.functions.items():
        assert name == folder(name).title().replace("_", "") + ("Stream" if function.streams else "")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_handler_exists_and_the_folder_holds_nothing_else(name: str, root: Path) -> None:
    assert callable(getattr(handler(name), TEMPLATE.functions[name].handler.removeprefix("app.")))
    assert [each.name for each in (root / "functions" / folder(name)).glob("*.*")] == ["app.py"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_every_route_is_served_by_the_code_of_its_function(route) -> None:
    app = handler(route.function).app
    path = re.sub(r"\{\w+\+?\}", "x", route.path)
    assert any(
        each.method == route.method and each.rule.match(path) for each in app._static_routes + app._dynamic_routes
    )


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if any(r.function == name for r in ROUTES)])
def test_the_code_serves_no_route_that_the_template_lacks(name: str) -> None:
    app = handler(name).app
    declared = [route for route in ROUTES if route.function == name]
    assert len(app._static_routes + app._dynamic_routes) == len(declared)


def test_no_two_functions_have_one_route() -> None:
    assert len({route.key for route in TEMPLATE.routes}) == len(TEMPLATE.routes)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_every_route_proves_its_caller_unless_the_table_opens_it_to_everyone(route) -> None:
    app = handler(route.function).app
    assert isinstance(app, App)
    assert app.function == folder(route.function)
    assert app._needed is NEEDED[app.function]
    assert (app._authenticate in app._router_middlewares) == (app._needed is not Access.EVERYONE)


def test_everyone_may_log_in_ask_for_versions_and_be_told_that_a_route_is_unknown() -> None:
    open_to_all = {function for function, needed in NEEDED.items() if needed is Access.EVERYONE}
    assert open_to_all == {"issue_token", "show_api_versions", "reject_unknown"}


def test_the_table_of_scopes_names_the_functions_and_no_others() -> None:
    assert NEEDED.keys() == {folder(route.function) for route in TEMPLATE.routes}


def test_a_stack_s_chains_are_no_longer_than_a_cluster_may_choose() -> None:
    assert TEMPLATE.raw["Parameters"]["BackupFullEvery"]["MaxValue"] == CHAIN_MAX


def test_unknown_routes_have_a_function() -> None:
    assert [route.function for route in TEMPLATE.routes if not route.path] == ["RejectUnknown"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_a_role_of_its_own(name: str) -> None:
    """Declared, since those that SAM makes carry managed policies for every log group and queue of the account."""
    assert FUNCTIONS[name]["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
    assert "Policies" not in FUNCTIONS[name]


def test_there_is_no_role_besides() -> None:
    assert ROLES.keys() == {f"{name}Role" for name in FUNCTIONS} | {"DownloadRole", "ArchiveRole"}
    assert all(role.keys() == {"AssumeRolePolicyDocument", "Policies"} for role in ROLES.values())


@pytest.mark.parametrize("role", TEMPLATE.resources("AWS::IAM::Role"))
def test_a_role_has_exact_actions_on_exact_resources(role: str) -> None:
    for statement in statements(role):
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert all("*" not in action for action in actions)
        assert isinstance(statement["Resource"], dict), "a resource of the stack, not a wildcard"
        assert statement["Resource"].get("Fn::Sub", "").count("*") <= 1


def test_a_reader_may_change_nothing_of_a_log_but_the_note_of_its_followers() -> None:
    for name in ("QueryTaskLog", "QueryTaskLogStream", "ReadLog", "ReadLogStream"):
        writes = [
            each
            for each in statements(f"{name}Role")
            if each["Resource"] == {"Fn::GetAtt": ["LogsTable", "Arn"]} and each["Action"] == "dynamodb:UpdateItem"
        ]
        allowed = [each["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"] for each in writes]
        assert allowed == [["pk", "sk", "followed_until"]]


def test_http_functions_end_before_the_gateway_gives_up() -> None:
    assert all(TEMPLATE.functions[route.function].timeout == 29 for route in TEMPLATE.routes)


def test_a_function_streams_beside_the_one_that_answers_by_the_gateway() -> None:
    assert {
        f"{name}Stream" for name in ("QueryTaskLog", "ReadLog", "DownloadBuildLog", "DownloadCheckLogs")
    } == STREAMING
    for name in STREAMING:
        assert "Events" not in FUNCTIONS[name]
        plain = name.removesuffix("Stream")
        assert folder(plain) == folder(name)
        assert TEMPLATE.functions[plain].handler == "app.lambda_handler"
        assert "AWS_LAMBDA_EXEC_WRAPPER" not in TEMPLATE.functions[plain].environment, "it depends on no wrapper"
        served = {route.key for route in TEMPLATE.streamed_routes if route.function == name}
        assert served == {route.key for route in ROUTES if route.function == plain}


def test_a_streaming_function_runs_in_the_layer_s_runtime_and_outlives_its_streams(root: Path) -> None:
    for name in STREAMING:
        function = TEMPLATE.functions[name]
        assert function.handler == "app.stream_handler"
        assert function.timeout == 900
        wrapper = Path(function.environment["AWS_LAMBDA_EXEC_WRAPPER"])
        assert wrapper.parent == Path("/opt")
        assert os.access(root / "layers" / "common" / wrapper.name, os.X_OK)
    parameter = TEMPLATE.raw["Parameters"]["FollowSeconds"]
    assert parameter["Default"] == 600
    assert parameter["MaxValue"] <= 900 - 60


def test_streaming_is_left_out_as_a_whole_by_a_parameter() -> None:
    raw = TEMPLATE.raw
    roles = {f"{name}Role" for name in STREAMING}
    assert {name for name, each in raw["Resources"].items() if each.get("Condition") == "Streams"} == STREAMING | roles
    assert {name for name, each in raw["Outputs"].items() if each.get("Condition") == "Streams"} == STREAMING
    without = Template.load(overrides="Streaming=false")
    assert (TEMPLATE.conditions["Streams"], without.conditions["Streams"]) == (True, False)


@pytest.mark.parametrize(
    ("region", "partition", "streams"),
    [
        ("us-east-1", "aws", True),
        ("eu-central-1", "aws", True),
        ("eu-central-2", "aws", False),
        ("me-central-1", "aws", False),
        ("mx-central-1", "aws", False),
        ("us-gov-west-1", "aws-us-gov", False),
        ("cn-north-1", "aws-cn", False),
    ],
)
def test_regions_without_function_urls_have_no_streaming_endpoints(
    monkeypatch: pytest.MonkeyPatch, region: str, partition: str, streams: bool
) -> None:
    monkeypatch.setattr(template, "_PSEUDO", {"AWS::Region": region, "AWS::Partition": partition})
    assert Template.load().conditions["Streams"] is streams


def test_a_new_account_s_concurrency_is_enough_for_the_defaults() -> None:
    assert TEMPLATE.parameters["StreamConcurrency"] == "0"
    assert TEMPLATE.conditions["ReservesStreams"] is False


def test_a_function_that_sends_itself_orders_is_not_stopped_for_it() -> None:
    for name, function in TEMPLATE.functions.items():
        assert FUNCTIONS[name].get("RecursiveLoop") == ("Allow" if function.is_worker else None)


def test_a_run_of_the_schedule_is_neither_repeated_nor_kept() -> None:
    for name, function in TEMPLATE.functions.items():
        if function.schedules:
            config = FUNCTIONS[name]["EventInvokeConfig"]
            assert config == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}


def test_the_api_takes_no_larger_burst_than_every_region_s_accounts() -> None:
    (api,) = TEMPLATE.resources("AWS::Serverless::HttpApi").values()
    assert api["DefaultRouteSettings"]["ThrottlingBurstLimit"] <= 1250


WORKERS = {name: each for name, each in TEMPLATE.functions.items() if each.is_worker}


def test_an_order_lives_long_enough_for_every_attempt_of_its_worker() -> None:
    assert WORKERS.keys() == {"BuildRender", "DeleteLogs", "PackLogs", "RunBackup", "RunRestore"}
    for function in WORKERS.values():
        assert function.failures.retries == len(PAUSES)
        # An attempt begins only while the order is younger than that.
        assert function.failures.age > function.failures.retries * function.timeout + sum(PAUSES)
        assert ORDER_LIVES.total_seconds() == function.timeout + PAUSES[0]


def test_nobody_polls_a_queue() -> None:
    """Each costs $0.26 a month while it is empty."""
    assert not [
        event for each in FUNCTIONS.values() for event in each.get("Events", {}).values() if event["Type"] == "SQS"
    ]
    assert TEMPLATE.resources("AWS::Lambda::EventSourceMapping") == {}


def may_invoke(name: str) -> set[str]:
    """The functions that a function's role lets it invoke, with what was attached to the role afterwards."""
    attached = TEMPLATE.resources("AWS::IAM::RolePolicy").values()
    own = [
        statement
        for policy in attached
        if policy["RoleName"] == {"Ref": f"{name}Role"}
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    invoking = [each for each in [*statements(f"{name}Role"), *own] if each["Action"] == "lambda:InvokeFunction"]
    return {each["Resource"]["Fn::GetAtt"][0] for each in invoking}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_knows_the_names_of_the_workers_that_its_role_may_invoke(name: str) -> None:
    variables = {
        "BUILD_RENDER": "BuildRender",
        "PACK_LOGS": "PackLogs",
        "DELETE_LOGS": "DeleteLogs",
        "RUN_BACKUP": "RunBackup",
        "RUN_RESTORE": "RunRestore",
    }
    told = {value["Ref"] for variable, value in TEMPLATE.functions[name].environment.items() if variable in variables}
    assert all(
        TEMPLATE.functions[name].environment[variable] == {"Ref": worker}
        for variable, worker in variables.items()
        if worker in told
    )
    assert may_invoke(name) == told | ({name} if name in WORKERS else set())


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_s_own_role_may_bury_its_orders(name: str) -> None:
    """Lambda looks for that when it is told of the queue, which is before anything is attached to the role."""
    buries = [each["Resource"] for each in statements(f"{name}Role") if each["Action"] == "sqs:SendMessage"]
    assert buries == [{"Fn::GetAtt": ["DeadLetters", "Arn"]}]


def bucket(template: Template) -> dict[str, Any]:
    (declared,) = template.resources("AWS::S3::Bucket").values()
    decided: dict[str, Any] = chosen(declared, template.conditions)
    return decided


def rules_of(bucket: dict[str, Any]) -> dict[str, Any]:
    return {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}


def test_backups_are_locked_by_parameter_and_nothing_is_versioned_without() -> None:
    plain, locked = bucket(TEMPLATE), bucket(LOCKED)
    assert not {"ObjectLockEnabled", "VersioningConfiguration"} & plain.keys()
    assert rules_of(plain).keys() == {"renders", "staging", "uploads"}
    assert (locked["ObjectLockEnabled"], locked["VersioningConfiguration"]) == (True, {"Status": "Enabled"})
    rule = rules_of(locked)["versions"]
    assert "Prefix" not in rule, "what is deleted anywhere leaves a version"
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert "NoncurrentVersionExpiration" not in str(rules_of(plain))


def test_roles_may_lock_only_where_there_are_locks() -> None:
    always = TEMPLATE.resources("AWS::IAM::RolePolicy")
    assert always.keys() == {f"{name}Again" for name in WORKERS}
    policies = {name: each for name, each in LOCKED.resources("AWS::IAM::RolePolicy").items() if name not in always}
    assert policies
    for name, policy in policies.items():
        assert policy["RoleName"] == {"Ref": name.removesuffix("Lock") + "Role"}
        for statement in policy["PolicyDocument"]["Statement"]:
            assert isinstance(statement["Action"], str)
            assert "*" not in statement["Action"]
            assert isinstance(statement["Resource"], dict)
    assert "BypassGovernance" not in str(TEMPLATE.raw), "what is locked is opened by people, with keys of their own"


# Alarms


ALARMS = TEMPLATE.resources("AWS::CloudWatch::Alarm")


METRICS = TEMPLATE.resources("AWS::Logs::MetricFilter")
OURS = {"Fn::Sub": "Logkeep/${AWS::StackName}"}


def counted(metric: str, group: str, line: dict[str, Any]) -> bool:
    """Whether a line of a log group counts for one of our metrics."""
    filters = [each for each in METRICS.values() if each["LogGroupName"] == {"Ref": group}]
    ours = [each for each in filters if each["MetricTransformations"][0]["MetricName"] == metric]
    return any(matches(each["FilterPattern"], line) for each in ours)


def access(status: int, function: int | str, route: str = "GET /v1/{project_id}/logs") -> dict[str, Any]:
    return {"status": str(status), "function": str(function), "route": route}


def request(status: int, ended: str | None = None) -> dict[str, Any]:
    return {"message": "request", "status": status, "ended": ended}


@pytest.mark.parametrize(
    ("group", "line", "fails"),
    [
        ("AccessLogs", access(200, 200), False),
        ("AccessLogs", access(404, 404), False),
        ("AccessLogs", access(429, 429), False),  # the project's own limit
        ("AccessLogs", access(503, 503), False),  # a file that is being built
        ("AccessLogs", access(429, "-"), True),  # throttled by the gateway
        ("AccessLogs", access(503, "-"), True),  # throttled by Lambda, or crashed
        ("AccessLogs", access(504, "-"), True),
        ("FunctionLogs", request(200), False),
        ("FunctionLogs", request(503), False),
        ("FunctionLogs", request(500), True),
        ("FunctionLogs", request(500, "complete"), True),
        ("FunctionLogs", request(200, "complete"), False),
        ("FunctionLogs", request(200, "left"), False),
        ("FunctionLogs", request(200, "failed"), True),
        ("FunctionLogs", {"message": "other", "status": 500}, False),
        ("FunctionLogs", {"type": "platform.report", "record": {"status": "success"}}, False),
        ("FunctionLogs", {"type": "platform.report", "record": {"status": "timeout"}}, True),
        ("FunctionLogs", {"type": "platform.report", "record": {"status": "error"}}, True),
    ],
)
def test_what_fails_or_is_throttled_is_counted_and_nothing_else(group: str, line: dict[str, Any], fails: bool) -> None:
    assert counted("Failures", group, line) is fails


WRITERS = ("AppendLog", "SealLog", "PutServiceEvents")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_failed_and_throttled_writes_are_counted_and_those_of_no_other_route(route) -> None:
    writes = route.function in WRITERS
    for status, function in ((500, 500), (503, 503), (503, "-"), (429, "-")):
        assert counted("FailedWrites", "AccessLogs", access(status, function, route.key)) is writes
    for status in (200, 202, 409, 429):
        assert not counted("FailedWrites", "AccessLogs", access(status, status, route.key))


@pytest.mark.parametrize("metric", ["Failures", "FailedWrites"])
def test_each_metric_of_failures_is_an_alarm_that_rings_at_the_first(metric: str) -> None:
    alarm = ALARMS[f"{metric}Alarm"]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == (OURS, metric, "Sum")
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    assert alarm["TreatMissingData"] == "notBreaching", "without a failure there is no metric"
    for each in METRICS.values():
        (made,) = each["MetricTransformations"]
        assert (made["MetricNamespace"], made["MetricValue"]) == (OURS, "1")
        assert "DefaultValue" not in made, "a metric without lines would cost $0.30 a month"


def test_a_dead_letter_is_an_alarm_and_so_is_the_next_one() -> None:
    (queue,) = [name for name in TEMPLATE.resources("AWS::SQS::Queue") if "Dead" in name]
    alarm = ALARMS[f"{queue}Alarm"]
    arrived, letters = alarm["Metrics"]
    assert arrived["Expression"] == "DIFF(FILL(letters, 0))", "the depth would ring once in 14 days"
    assert letters["MetricStat"]["Metric"] == {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}],
    }
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 0)
    assert alarm["TreatMissingData"] == "notBreaching", "a queue that nobody uses tells nothing"


def test_every_dead_letter_queue_is_named_so() -> None:
    targets = {each.failures.dead_letters for each in WORKERS.values()}
    assert (
        targets
        == TEMPLATE.resources("AWS::SQS::Queue").keys()
        == {name.removesuffix("Alarm") for name in ALARMS if name.endswith("DeadLettersAlarm")}
    )


def test_an_order_of_a_worker_that_waits_for_half_an_hour_is_an_alarm() -> None:
    """Not of those that pack and delete logs: nobody waits for these, and a metric more costs $0.10 a month."""
    alarm = ALARMS["WaitingOrdersAlarm"]
    oldest, *ages = alarm["Metrics"]
    assert oldest["Expression"] == f"MAX([{', '.join(each['Id'] for each in ages)}]) / 1000"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", 1800)
    watched = {each["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"] for each in ages}
    scheduled = {name for name, each in TEMPLATE.functions.items() if each.schedules}
    assert watched == FUNCTIONS.keys() - {route.function for route in TEMPLATE.routes} - STREAMING - scheduled - {
        "PackLogs",
        "DeleteLogs",
    }
    assert {each["MetricStat"]["Metric"]["MetricName"] for each in ages} == {"AsyncEventAge"}
    assert {each["MetricStat"]["Stat"] for each in ages} == {"Maximum"}


def test_a_schedule_that_is_not_called_for_ten_minutes_is_told_but_not_at_the_first_deployment() -> None:
    """Without data an alarm begins; that it becomes so later is a change, and only changes are told."""
    name = "ScheduleBackups"
    alarm = ALARMS[f"{name}Alarm"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Lambda", "Invocations")
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": name}}]
    assert (alarm["Period"] * alarm["EvaluationPeriods"], alarm["Statistic"]) == (600, "Sum")
    assert alarm["TreatMissingData"] == "missing"
    assert alarm["InsufficientDataActions"] == [{"Ref": "BackupAlerts"}]


def test_a_dashboard_is_made_only_where_it_is_asked_for_and_shows_every_alarm() -> None:
    assert TEMPLATE.resources("AWS::CloudWatch::Dashboard") == {}
    (board,) = Template.load(overrides="Dashboard=true").resources("AWS::CloudWatch::Dashboard").values()
    text = board["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(text)["widgets"]
    assert widgets[0]["properties"]["alarms"] == [f"${{{name}.Arn}}" for name in ALARMS]
    names = TEMPLATE.raw["Resources"].keys() | {"AWS::Region", "AWS::StackName"}
    assert {each.partition(".")[0] for each in re.findall(r"\$\{([^}]+)\}", text)} <= names


# What is logged


def test_access_logs_have_nothing_that_holds_a_proof() -> None:
    """Headers and the query string hold tokens and signatures, and a path what a client mistook for one."""
    (api,) = TEMPLATE.resources("AWS::Serverless::HttpApi").values()
    assert api["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["AccessLogs", "Arn"]}
    logged = json.loads(api["AccessLogSettings"]["Format"])
    assert set(logged.values()) == {
        "$context." + name
        for name in (
            "requestTimeEpoch", "requestId", "identity.sourceIp", "routeKey", "status", "integration.status",
            "integrationStatus", "responseLatency", "responseLength", "error.responseType",
        )
    }  # fmt: skip
    assert "\n" not in api["AccessLogSettings"]["Format"]
    group = TEMPLATE.resources("AWS::Logs::LogGroup")["AccessLogs"]
    assert group["RetentionInDays"] == 30
    # Others fill the account's policy, until no API can log any more: "Insufficient permissions to enable logging".
    assert group["LogGroupName"]["Fn::Sub"].startswith("/aws/vendedlogs/${AWS::StackName}")


def test_lambda_writes_lines_of_its_own_only_for_what_fails() -> None:
    shared = TEMPLATE.raw["Globals"]["Function"]["LoggingConfig"]
    assert (shared["LogFormat"], shared["SystemLogLevel"]) == ("JSON", "WARN")
    assert "ApplicationLogLevel" not in shared
    assert all("LoggingConfig" not in each for each in FUNCTIONS.values())


# Keys


KEYED = Template.load(overrides="CustomerKey=arn:aws:kms:us-east-1:000000000000:key/1")
ENCRYPTED = ("DynamoDB::Table", "S3::Bucket", "SQS::Queue", "SNS::Topic", "Logs::LogGroup")


@pytest.mark.parametrize("kind", ENCRYPTED)
def test_a_customer_s_key_encrypts_everything_and_is_mentioned_nowhere_without_one(kind: str) -> None:
    for name in TEMPLATE.resources(f"AWS::{kind}"):
        plain = chosen(TEMPLATE.resources(f"AWS::{kind}")[name], TEMPLATE.conditions)
        keyed = chosen(KEYED.resources(f"AWS::{kind}")[name], KEYED.conditions)
        assert "CustomerKey" not in str(plain)
        match kind:
            case "DynamoDB::Table":
                assert "SSESpecification" not in plain, "AWS's own key encrypts, for nothing"
                expected = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": {"Ref": "CustomerKey"}}
                assert keyed["SSESpecification"] == expected
            case "S3::Bucket":
                (rule,) = keyed["BucketEncryption"]["ServerSideEncryptionConfiguration"]
                by = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "CustomerKey"}}
                assert rule == {"ServerSideEncryptionByDefault": by, "BucketKeyEnabled": True}
                (rule,) = plain["BucketEncryption"]["ServerSideEncryptionConfiguration"]
                assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            case "SQS::Queue":
                assert (keyed["KmsMasterKeyId"], "SqsManagedSseEnabled" in keyed) == ({"Ref": "CustomerKey"}, False)
                assert plain["SqsManagedSseEnabled"] is True
            case "SNS::Topic":
                assert keyed["KmsMasterKeyId"] == {"Ref": "CustomerKey"}
            case _:
                assert keyed["KmsKeyId"] == {"Ref": "CustomerKey"}


def uses(role: str) -> Iterator[str]:
    """The actions of a role on what the customer's key encrypts and it reads or writes itself."""
    encrypted = {name for kind in ENCRYPTED[:4] for name in TEMPLATE.resources(f"AWS::{kind}")}
    for statement in statements(role):
        if encrypted & {*re.findall(r"\w+", str(statement["Resource"]))}:
            yield from [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]


def test_each_role_may_use_the_customer_s_key_as_much_as_it_needs() -> None:
    assert TEMPLATE.resources("AWS::IAM::Policy") == {}
    policies = KEYED.resources("AWS::IAM::Policy")
    writing = {name for name in ROLES if any("Get" not in each and "List" not in each for each in uses(name))}
    reading = {name for name in ROLES if [*uses(name)]} - writing
    for name, expected in (("UseCustomerKey", writing), ("ReadByCustomerKey", reading)):
        (statement,) = policies[name]["PolicyDocument"]["Statement"]
        assert statement["Resource"] == {"Ref": "CustomerKey"}
        assert "kms:Decrypt" in statement["Action"], "DynamoDB asks for it at a write, too"
        assert ("kms:GenerateDataKey" in statement["Action"]) == (name == "UseCustomerKey")
        assert {each["Ref"] for each in chosen(policies[name]["Roles"], KEYED.conditions)} == expected
    without = Template.load(overrides="CustomerKey=arn:aws:kms:us-east-1:000000000000:key/1 Streaming=false")
    roles = chosen(without.resources("AWS::IAM::Policy")["UseCustomerKey"]["Roles"], without.conditions)
    assert not [each for each in roles if "Stream" in each["Ref"]]


def test_alarms_go_to_the_topic_and_by_parameter_to_an_address() -> None:
    assert all(each["AlarmActions"] == [{"Ref": "BackupAlerts"}] for each in ALARMS.values())
    assert TEMPLATE.resources("AWS::SNS::Subscription") == {}
    told = Template.load(overrides="AlertEmail=ops@example.com").resources("AWS::SNS::Subscription")
    (subscription,) = told.values()
    assert (subscription["TopicArn"], subscription["Protocol"]) == ({"Ref": "BackupAlerts"}, "email")


def test_a_render_is_found_only_while_the_lifecycle_keeps_it() -> None:
    rules = rules_of(bucket(TEMPLATE))
    assert rules["renders"]["Prefix"] == "renders/"
    assert rules["renders"]["ExpirationInDays"] == KEPT_DAYS


def test_tables_are_on_demand() -> None:
    for table in TEMPLATE.resources("AWS::DynamoDB::Table").values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"


KEPT = ["Bucket", "LogsTable", "EventsTable", "BackupsTable", "CredentialsTable", "CredentialsKey"]


def test_what_holds_data_outlives_the_stack_and_says_what_it_was() -> None:
    raw = TEMPLATE.raw["Resources"]
    assert sorted(KEPT) == sorted(name for name, each in raw.items() if "DeletionPolicy" in each)
    for name in KEPT:
        assert raw[name]["UpdateReplacePolicy"] == "Retain"
        assert raw[name]["Properties"]["Tags"] == [
            {"Key": "logkeep:stack", "Value": {"Ref": "AWS::StackName"}},
            {"Key": "logkeep:resource", "Value": name},
        ]


def test_a_failed_first_deployment_leaves_nothing_but_tables_which_refuse_deletion() -> None:
    """The rollback of a table that is protected would fail, and what comes then is worse: ROLLBACK_FAILED."""
    policies = {name: TEMPLATE.raw["Resources"][name]["DeletionPolicy"] for name in KEPT}
    protected = {name for name in KEPT if "DeletionProtectionEnabled" in TEMPLATE.raw["Resources"][name]["Properties"]}
    assert {name for name, policy in policies.items() if policy == "Retain"} == protected
    assert {policies[name] for name in KEPT if name not in protected} == {"RetainExceptOnCreate"}


def test_tables_are_protected_and_recoverable_but_for_what_a_moment_makes_anew() -> None:
    kept = {name: each for name, each in TEMPLATE.resources("AWS::DynamoDB::Table").items() if name != "LimitsTable"}
    for table in kept.values():
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}


def test_logging_in_is_throttled_by_the_gateway_too() -> None:
    (api,) = TEMPLATE.resources("AWS::Serverless::HttpApi").values()
    (route,) = api["RouteSettings"]
    assert route in {each.key for each in TEMPLATE.routes}
    assert api["RouteSettings"][route]["ThrottlingRateLimit"] <= 50


def test_the_indexes_that_the_code_reads_exist() -> None:
    for table, name in (("LogsTable", BY_ID), ("BackupsTable", BY_DUE)):
        (index,) = TEMPLATE.resources("AWS::DynamoDB::Table")[table]["GlobalSecondaryIndexes"]
        assert (index["IndexName"], index["Projection"]) == (name, {"ProjectionType": "KEYS_ONLY"})


@pytest.mark.parametrize(("role", "folder"), [("DownloadRole", "renders"), ("ArchiveRole", "backups")])
def test_a_role_that_signs_links_reads_its_folder_and_nothing_else(role: str, folder: str) -> None:
    (granted,) = statements(role)
    assert (granted["Action"], granted["Resource"]) == ("s3:GetObject", {"Fn::Sub": f"${{Bucket.Arn}}/{folder}/*"})


def test_archives_are_linked_by_the_function_for_them_alone() -> None:
    archive = {"Fn::GetAtt": ["ArchiveRole", "Arn"]}
    assert [role for role in ROLES for each in statements(role) if each["Resource"] == archive] == [
        "DownloadBackupRole"
    ]


def test_secrets_are_read_by_the_functions_that_verify_signatures_and_tokens_alone(root: Path) -> None:
    """SECURITY.md says which, and why."""
    can = {
        action: {role for role in ROLES for each in statements(role) if action in each["Action"]}
        for action in ("kms:Decrypt", "secretsmanager:GetSecretValue")
    }
    proving = {f"{name}Role" for name in FUNCTIONS if NEEDED.get(folder(name), Access.EVERYONE) is not Access.EVERYONE}
    assert can["kms:Decrypt"] == proving - {"QueryTaskLogRole", "QueryTaskLogStreamRole"}
    assert can["secretsmanager:GetSecretValue"] == can["kms:Decrypt"] | {"IssueTokenRole"}
    page = (root / "SECURITY.md").read_text()
    assert f"{len(can['kms:Decrypt'])} of the {len(FUNCTIONS)} functions" in page


def test_the_environment_is_what_the_settings_read() -> None:
    from logkeep.settings import Settings

    declared = set(TEMPLATE.functions["ListLogs"].environment)
    workers = {"BUILD_RENDER", "PACK_LOGS", "DELETE_LOGS", "RUN_BACKUP", "RUN_RESTORE"}  # for those that order them
    expected = {name.upper() for name in Settings.__dataclass_fields__} - workers
    assert declared - expected == {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA", "POWERTOOLS_SERVICE_NAME"}
    assert expected <= declared


def test_every_function_has_an_event_file_and_one_that_goes_wrong(root: Path) -> None:
    names = [path.stem for path in (root / "events").glob("*.json") if path.stem != "env"]
    for each in TEMPLATE.functions.values():
        own = [name for name in names if name.partition("-")[0] == each.folder]
        assert each.folder in own
        assert len(own) >= 2 or each.schedules, f"{each.folder} has no error case"
    assert {name.partition("-")[0] for name in names} == {each.folder for each in TEMPLATE.functions.values()}


def test_event_files_fit_the_routes(root: Path) -> None:
    keys = {route.key for route in TEMPLATE.routes}
    for path in (root / "events").glob("*.json"):
        loaded = json.loads(path.read_text())
        if "routeKey" in loaded:
            assert loaded["routeKey"] in keys, path.name
            assert loaded["routeKey"] == loaded["requestContext"]["routeKey"]


def test_the_env_file_points_sam_local_at_the_local_emulator(root: Path) -> None:
    values = values_of(TEMPLATE, f"http://host.docker.internal:{EMULATOR_PORT}")
    invoke = {"AWS_ENDPOINT_URL_LAMBDA": f"http://host.docker.internal:{PORT + 2}"}
    assert json.loads((root / "events" / "env.json").read_text()) == {
        "Parameters": TEMPLATE.environment(values) | invoke
    }


def test_every_parameter_and_output_is_described() -> None:
    for part in ("Parameters", "Outputs"):
        assert all(each["Description"] for each in TEMPLATE.raw[part].values())
