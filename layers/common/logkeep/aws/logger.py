"""The logger of the functions. Lambda takes its lines as JSON; CloudWatch charges for each byte of them."""

import json
from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools import Logger

REQUEST: Final = "request"  # the message of a request's line, of which there is one for each
# What powertools adds to each line and what a request's line says itself, or its log group.
_LEFT_OUT: Final = {"location", "service", "function_arn", "function_name"}


def _serialize(line: Mapping[str, Any]) -> str:
    if line["message"] == REQUEST:
        line = {name: value for name, value in line.items() if name not in _LEFT_OUT and value is not None}
    return json.dumps(line, default=str, separators=(",", ":"), ensure_ascii=False)


logger: Final = Logger(use_rfc3339=True, json_serializer=_serialize)  # Lambda takes no other time of a line
