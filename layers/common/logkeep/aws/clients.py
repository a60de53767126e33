"""boto3 clients, made on first use: a function pays only for those it needs."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

# An HTTP function lives 29 s: a try that hangs must leave time for another.
_CONFIG: Final = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 4})


def s3_config() -> Config:
    """Signature V4, which presigned response overrides need; buckets in the path where an emulator is the endpoint."""
    emulated = bool(os.environ.get("AWS_ENDPOINT_URL"))
    return _CONFIG.merge(Config(signature_version="s3v4", s3={"addressing_style": "path" if emulated else "auto"}))


@cache
def s3() -> S3Client:
    return boto3.client("s3", config=s3_config())


@cache
def dynamodb() -> DynamoDBClient:
    return boto3.client("dynamodb", config=_CONFIG)


@cache
def sqs() -> SQSClient:
    return boto3.client("sqs", config=_CONFIG)


@cache
def sts() -> STSClient:
    return boto3.client("sts", config=_CONFIG)
