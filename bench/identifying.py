"""Identifying callers: verifying a signature, counting a request against its project's limit, writing its line."""

import importlib
import io
import json
import os
import time
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final

from bench import prices
from bench.measure import cpu_seconds, show, times
from local.sample import AK, PROJECT, SK, write_credentials
from logkeep.aws.logger import logger
from logkeep.identity.limiter_store import project_limiter
from logkeep.identity.signature import ALGORITHM, Authorization, SignedRequest, signature_of, verify
from logkeep.settings import settings

REQUESTS: Final = 2000
VERIFIED: Final = 2000
_HOST: Final = "logs.example.com"
_SIGNED: Final = "content-type;host;user-agent;x-project-id;x-sdk-date"


def identifying(kms_key: str) -> None:
    write_credentials(kms_key)
    # High limits, so that no request is refused but each one is counted.
    os.environ |= {"PROJECT_RATE": "1000000", "PROJECT_BURST": "1000000"}
    settings.cache_clear()
    project_limiter.cache_clear()
    handler = importlib.import_module("functions.list_projects.app").lambda_handler
    event = _signed_event()
    lines = io.StringIO()
    logger.registered_handler.setStream(lines)  # type: ignore[attr-defined]  # it is a StreamHandler
    answers = Counter(handler(event, _context())["statusCode"] for _ in range(REQUESTS))
    if answers != {200: REQUESTS}:
        raise RuntimeError(f"not all requests were answered with 200: {answers}")
    used = [json.loads(line)["used"] for line in lines.getvalue().splitlines()]
    calls = sum((Counter(each["calls"]) for each in used), Counter[str]())
    ours = _dollars(calls["GetItem"], calls["Decrypt"], calls["UpdateItem"])
    naive = _dollars(REQUESTS, REQUESTS, REQUESTS)
    million = 1e6 / REQUESTS
    show(
        f"Verifying and limiting {REQUESTS:,} signed requests that one process gets in a row",
        ("", "GetItem", "KMS Decrypt", "UpdateItem", "$ per million", "price"),
        [
            ("Logkeep", calls["GetItem"], calls["Decrypt"], calls["UpdateItem"], ours * million, times(1)),
            ("lookup, decryption and count for each request", *[REQUESTS] * 3, naive * million, times(naive / ours)),
        ],
    )
    request, given = _request(event)

    def verified() -> None:
        for _ in range(VERIFIED):
            verify(given, request, SK, time.time())

    seconds = cpu_seconds({"verify": verified})
    size = len(lines.getvalue().encode()) / REQUESTS
    show(
        "One request",
        ("", ""),
        [
            ("CPU time to verify a signature, microseconds", seconds["verify"] / VERIFIED * 1e6),
            ("its line with audit and metrics, bytes", size),
            (
                "ingestion of that line by CloudWatch Logs, $ per million requests",
                size * prices.LOG_GB / prices.GB * 1e6,
            ),
        ],
    )


def _dollars(reads: int, decrypts: int, writes: int) -> float:
    return reads / 2 * prices.READ_UNIT + decrypts * prices.KMS_CALL + writes * prices.WRITE_UNIT


def _signed_event() -> dict[str, Any]:
    date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/json",
        "host": _HOST,
        "user-agent": "huaweicloud-usdk-python/3.0",
        "x-project-id": PROJECT,
        "x-sdk-date": date,
    }
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    signed = "".join(f"{name}:{headers[name]}\n" for name in _SIGNED.split(";"))
    canonical = f"GET\n/v3/projects/\nname=cn-north-4\n{signed}\n{_SIGNED}\n{empty}"
    signature = signature_of(canonical, date, SK)
    headers["authorization"] = f"{ALGORITHM} Access={AK}, SignedHeaders={_SIGNED}, Signature={signature}"
    http = {"method": "GET", "path": "/v3/projects", "sourceIp": "192.0.2.1", "userAgent": headers["user-agent"]}
    return {
        "version": "2.0",
        "routeKey": "GET /v3/projects",
        "rawPath": "/v3/projects",
        "rawQueryString": "name=cn-north-4",
        "headers": headers,
        "requestContext": {"http": http, "domainName": _HOST, "requestId": "bench", "stage": "$default"},
        "isBase64Encoded": False,
    }


def _request(event: dict[str, Any]) -> tuple[SignedRequest, Authorization]:
    request = SignedRequest(
        method="GET",
        path=event["rawPath"],
        query=event["rawQueryString"],
        headers=event["headers"],
        domain=_HOST,
        body=b"",
    )
    return request, Authorization.parse(event["headers"]["authorization"])


def _context() -> SimpleNamespace:
    return SimpleNamespace(
        function_name="bench",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:bench",
        aws_request_id="bench",
    )
