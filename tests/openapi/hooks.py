"""Hooks of schemathesis: ids that exist, all proofs of a caller, lines of JSON, and what Kuscia refuses in a 200.

Loaded by schemathesis itself, with the content of the service's demo.json in FUZZED_SERVICE.
"""

import json
import os
import time
import zlib
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema_rs
import requests
import schemathesis
from huaweicloudsdkcore.sdk_request import SdkRequest
from schemathesis.core.parameters import ParameterLocation

from tests.signing import sdk_sign, stamp

DEMO: Final = json.loads(os.environ["FUZZED_SERVICE"])
SHARE: Final = int(os.environ.get("FUZZED_SHARE", "1"))  # one of so many cases of the coverage phase is sent
# Parameters with values that exist. Those of a path depend on its API.
KNOWN: Final = {
    "project_id": DEMO["project_id"],
    "service_id": DEMO["service_id"],
    "cluster_id": DEMO["cluster_id"],
    "job_id": DEMO["job_id"],
    "build_no": DEMO["build_no"],
    "execute_id": DEMO["execute_id"],
    "sub_job_id": DEMO["sub_job_ids"],
    "task_name": DEMO["task_name"],
    "instance_name": DEMO["instance_name"],
    "container": DEMO["container"],
}
BY_PATH: Final = {
    "/v1.0/": {"record_id": DEMO["backup_id"]},
    "/v2/": {"task_id": DEMO["check_task_id"]},
    "/api/": {"task_id": DEMO["task_id"]},
    "/v": {"record_id": DEMO["record_id"]},
}
LOG_IDS: Final = {
    "known": f"build/{DEMO['record_id']}/stage1",
    "fuzzed": f"check/{'f' * 32}/fuzz.log",
    "unknown": "cluster/unknown/node-1/instance",
}
# Cases that reach no handler if their project is another one.
REPLACED: Final = 7  # of 8


def chance(case: Any, name: str, of: int = 8) -> int:
    """A number below `of` that depends on the case only, so that a run can be repeated."""
    return zlib.crc32(repr((name, case.path, case.path_parameters, dict(case.query or {}), case.body)).encode()) % of


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """A share of the cases of the coverage phase, which has no limit of its own."""
    in_coverage = case.meta is not None and case.meta.phase.name.value == "coverage"
    return not in_coverage or chance(case, "share", SHARE) == 0


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """schemathesis makes no value of a path that has a slash, so a name stands for each log id."""
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                if parameter["name"] == "log_id":
                    parameter["schema"] = {"anyOf": [{"enum": list(LOG_IDS)}, {"type": "string", "pattern": "/"}]}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if (name := case.path_parameters.get("log_id")) in LOG_IDS:
        case.path_parameters["log_id"] = LOG_IDS[name]
    known = KNOWN | next((found for start, found in BY_PATH.items() if case.path.startswith(start)), {})
    places = {ParameterLocation.PATH: case.path_parameters, ParameterLocation.QUERY: case.query}
    for location, place in {**places, ParameterLocation.BODY: case.body}.items():
        if not isinstance(place, dict) or (case.meta and case.meta.is_negative_at(location)):
            continue
        for name in place.keys() & known.keys():
            often = REPLACED if name == "project_id" else 3
            if chance(case, name) < often:
                place[name] = known[name]
    headers = kwargs.get("headers") or {}
    if headers.get("X-Auth-Token") == DEMO["token"] and chance(case, "signed") < 2:
        kwargs["auth"] = Signed()


class Signed(requests.auth.AuthBase):
    """Signs a request as the vendors' SDKs do, if its URL is one that they could send."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = urlsplit(str(request.url))
        body: Any = request.body or b""
        sdk = SdkRequest(
            method=request.method,
            host=url.netloc,
            resource_path=unquote(url.path),
            query_params=parse_qsl(url.query, keep_blank_values=True),
            header_params={"X-Sdk-Date": stamp(time.time())},
            body=body if isinstance(body, bytes) else body.encode(),
        )
        signed = sdk_sign(sdk, DEMO["sk"], DEMO["ak"])
        if sdk.uri == request.path_url:
            request.headers.update({name: signed[name] for name in ("x-sdk-date", "authorization")})
        return request


# Reasons of refusals that JSON Schema cannot say: they are about several fields, about bytes or about what is stored.
UNSAID: Final = (
    "is before start_time",
    "must be a multiple of limit",
    "is required with",
    "is not a parameter of logs of kind",
    "needs follow=true",
    "needs grep",
    "is not possible with",
    "send either",
    "of RE2",
    "too large an expression",
    "must have no newline",
    "must begin at 1",
    "is not a cursor of this log",
    "more than a year ahead",
    "older than the retention",
    "must be before until",
    "must be at most 31 days before until",
    "an empty list of events needs",
    "longer than",  # in bytes
    ": is required",  # with one action of two
    "should be a valid integer",  # to JSON Schema, 1.0 is one
    "backups are kept in",
    "names a service twice",
    "is too long for the cluster's id",
    "gzip",
    "Logkeep-Timezone",
    "Logkeep's zone",
    "must be a marker of an earlier answer",
    "day is out of range",
    "to count logs by",
    "needs grep",
    "is not possible with",
    "send either limit or tail",
    "needs follow=true",
    "is no expression of RE2",
    "is too large an expression",
    "is no prefix of log ids",
)


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure is one. Kuscia refuses a request with a 200, whose message has a code."""
    if case.path == "/api/v1/log/task/query" and response.status_code == HTTPStatus.OK and "ST201" in str(failure.code):
        return "code" not in json.loads(response.content.splitlines()[0])["status"]
    if "ST201" in str(failure.code) and "x-schemathesis-unknown-property" in (case.query or {}):
        return False  # the document says that such parameters are ignored
    if response.status_code == HTTPStatus.BAD_REQUEST and "ST202" in str(failure.code):
        is_packed = (case.headers or {}).get("Content-Encoding") == "gzip"  # the body is never
        return not is_packed and not any(reason in response.text for reason in UNSAID)
    return True


@schemathesis.check
def every_line_is_as_documented(context: Any, response: Any, case: Any) -> None:
    """OpenAPI 3.1 cannot say what the lines of an answer are; the document says it as 3.2 will."""
    answers = case.operation.definition.raw["responses"].get(str(response.status_code), {}).get("content", {})
    media = answers.get((response.headers.get("content-type") or [""])[0], {})
    if "x-itemSchema" not in media:
        return
    components = {"components": case.operation.schema.raw_schema["components"]}
    validator = jsonschema_rs.validator_for({**media["x-itemSchema"], **components})
    for line in response.content.splitlines():
        if line:
            validator.validate(json.loads(line))
