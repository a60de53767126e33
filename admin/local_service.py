"""The local service of `make run`, as logkeep-admin finds it. Only --local imports this."""

import json
import os
from collections.abc import Iterator

import boto3

from admin import Refused
from admin.target import Target
from local import data_directory
from local.emulator import leave_account, values_of, variables_of
from local.function_log import files
from local.template import Template


def local_target() -> Target:
    """The local service, which the environment selects from now on. Raises Refused if none was ever started."""
    try:
        endpoint = json.loads((data_directory() / "demo.json").read_text())["emulator"]
    except (OSError, ValueError, KeyError):
        raise Refused("no local service was found; start it with: make run") from None
    leave_account()
    os.environ |= variables_of(endpoint)
    template = Template.load()
    values = values_of(template, endpoint) | {"FunctionLogs": ""}
    return Target.of(boto3.Session(), values, template.parameters)


def printed_lines() -> Iterator[bytes]:
    """The lines that the functions have printed, of which requests are some."""
    for path in files(data_directory()):
        if path.exists():
            with path.open("rb") as lines:
                yield from lines
