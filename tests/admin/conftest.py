"""The emulator's Logkeep as a command sees it."""

import boto3
import pytest

from admin.target import Target
from local.emulator import Emulator, values_of
from tests.conftest import TEMPLATE


@pytest.fixture
def target(aws: None, emulator: Emulator) -> Target:
    values = values_of(TEMPLATE, emulator.endpoint) | {"FunctionLogs": ""}
    return Target.of(boto3.Session(), values, TEMPLATE.parameters)
