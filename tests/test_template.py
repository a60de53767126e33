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
from logkeep.logs.store import BY_ID
from logkeep.web.app import App

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
    assert ROLES.keys() == {f"{name}Role" for name in FUNCTIONS} | {"DownloadRole"}
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
    assert WORKERS.keys() == {"BuildRender", "RunBackup", "RunRestore"}
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
    variables = {"BUILD_RENDER": "BuildRender", "RUN_BACKUP": "RunBackup", "RUN_RESTORE": "RunRestore"}
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


@pytest.mark.parametrize("queue", [name for name in TEMPLATE.resources("AWS::SQS::Queue") if "Dead" in name])
def test_a_message_among_dead_letters_is_an_alarm(queue: str) -> None:
    alarm = ALARMS[f"{queue}Alarm"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Statistic"]) == (
        "GreaterThanThreshold",
        0,
        "Maximum",
    )
    assert alarm["TreatMissingData"] == "notBreaching", "a queue that nobody uses tells nothing"


def test_every_dead_letter_queue_is_named_so() -> None:
    targets = {each.failures.dead_letters for each in WORKERS.values()}
    assert (
        targets
        == TEMPLATE.resources("AWS::SQS::Queue").keys()
        == {name.removesuffix("Alarm") for name in ALARMS if name.endswith("DeadLettersAlarm")}
    )


def test_a_schedule_that_fails_or_is_not_called_for_ten_minutes_is_an_alarm() -> None:
    (name,) = [name for name, each in TEMPLATE.functions.items() if each.schedules]
    alarm = ALARMS[f"{name}Alarm"]
    metrics = {each["Id"]: each for each in alarm["Metrics"]}
    assert metrics["succeeded"]["Expression"] == "calls - errors"
    for id, metric in (("calls", "Invocations"), ("errors", "Errors")):
        stat = metrics[id]["MetricStat"]
        assert (stat["Metric"]["MetricName"], stat["Period"], stat["Stat"]) == (metric, 600, "Sum")
        assert stat["Metric"]["Dimensions"] == [{"Name": "FunctionName", "Value": {"Ref": name}}]
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert alarm["TreatMissingData"] == "breaching", "a function that is not called tells nothing"


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


def test_tables_are_encrypted_and_on_demand() -> None:
    for table in TEMPLATE.resources("AWS::DynamoDB::Table").values():
        assert table["BillingMode"] == "PAY_PER_REQUEST"
        assert table["SSESpecification"] == {"SSEEnabled": True}


def test_tables_are_kept_and_recoverable_but_for_what_a_moment_makes_anew() -> None:
    raw = TEMPLATE.raw["Resources"]
    kept = {name: each for name, each in TEMPLATE.resources("AWS::DynamoDB::Table").items() if name != "LimitsTable"}
    for name, table in kept.items():
        assert raw[name]["DeletionPolicy"] == raw[name]["UpdateReplacePolicy"] == "Retain"
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert table["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}


def test_the_key_of_the_credentials_is_kept_with_them() -> None:
    raw = TEMPLATE.raw["Resources"]
    assert raw["CredentialsKey"]["DeletionPolicy"] == raw["CredentialsTable"]["DeletionPolicy"] == "Retain"


def test_logging_in_is_throttled_by_the_gateway_too() -> None:
    (api,) = TEMPLATE.resources("AWS::Serverless::HttpApi").values()
    (route,) = api["RouteSettings"]
    assert route in {each.key for each in TEMPLATE.routes}
    assert api["RouteSettings"][route]["ThrottlingRateLimit"] <= 50


def test_the_indexes_that_the_code_reads_exist() -> None:
    for table, name in (("LogsTable", BY_ID), ("BackupsTable", BY_DUE)):
        (index,) = TEMPLATE.resources("AWS::DynamoDB::Table")[table]["GlobalSecondaryIndexes"]
        assert (index["IndexName"], index["Projection"]) == (name, {"ProjectionType": "KEYS_ONLY"})


def test_the_download_role_reads_renders_and_archives_and_nothing_else() -> None:
    granted = [(each["Action"], each["Resource"]) for each in statements("DownloadRole")]
    files = [{"Fn::Sub": f"${{Bucket.Arn}}/{folder}/*"} for folder in ("renders", "backups")]
    assert granted == [("s3:GetObject", each) for each in files]


def test_the_environment_is_what_the_settings_read() -> None:
    from logkeep.settings import Settings

    declared = set(TEMPLATE.functions["ListLogs"].environment)
    workers = {"BUILD_RENDER", "RUN_BACKUP", "RUN_RESTORE"}  # for those that order them
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
