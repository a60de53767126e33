"""The emulator as a process, and the template's resources in it."""

import os
import socket

import pytest

from local.emulator import Emulator, EmulatorRuns, PortTaken, values_of
from local.template import Template

TEMPLATE = Template.load()


def test_a_stopped_emulator_keeps_its_data(tmp_path):
    with Emulator(tmp_path) as emulator:
        table = emulator.create(TEMPLATE)["LOGS_TABLE"]
        key = {"pk": {"S": "a"}, "sk": {"S": "b"}}
        emulator.client("dynamodb").put_item(TableName=table, Item=key)
    with Emulator(tmp_path) as emulator:
        emulator.create(TEMPLATE)
        assert emulator.client("dynamodb").get_item(TableName=table, Key=key)["Item"] == key


def test_two_never_share_a_directory(tmp_path, monkeypatch):
    monkeypatch.setattr("local.emulator._LEAVING_SECONDS", 0.0)
    with Emulator(tmp_path), pytest.raises(EmulatorRuns) as error:
        Emulator(tmp_path).start()
    assert error.value.pid == str(os.getpid()), "its parent, which lives"


def test_a_taken_port_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as error:
            Emulator(tmp_path, port).start()
    assert error.value.port == port


def test_the_resources_are_those_of_the_template(emulator, aws):
    environment = emulator.create(TEMPLATE)
    described = emulator.client("dynamodb").describe_table(TableName=environment["LOGS_TABLE"])["Table"]
    assert [index["IndexName"] for index in described["GlobalSecondaryIndexes"]] == ["by_id"]
    lifetime = emulator.client("dynamodb").describe_time_to_live(TableName=environment["EVENTS_TABLE"])
    assert lifetime["TimeToLiveDescription"]["AttributeName"] == "ttl"
    url = values_of(TEMPLATE, emulator.endpoint)["DeadLetters"]
    queue = emulator.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    assert queue["Attributes"]["MessageRetentionPeriod"] == "1209600"
    role = emulator.client("sts").assume_role(RoleArn=environment["DOWNLOAD_ROLE_ARN"], RoleSessionName="test")
    assert role["Credentials"]["SessionToken"]
