"""The S3 client that signs links: a session whose expiry is known, unlike that of a Lambda's own keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import boto3

from logkeep.aws import clients
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SESSION: Final = timedelta(hours=1)
RENEWED_BELOW: Final = timedelta(minutes=20)  # a link lives 15
_sessions: Final[list[tuple[datetime, S3Client]]] = []  # the last one is used


def download_signer() -> S3Client:
    """A client whose session lives longer than any link it signs."""
    if not _sessions or _sessions[-1][0] - datetime.now(UTC) < RENEWED_BELOW:
        answer = clients.sts().assume_role(
            RoleArn=settings().download_role_arn,
            RoleSessionName="logkeep-download",
            DurationSeconds=int(SESSION.total_seconds()),
        )
        keys = answer["Credentials"]
        signer = boto3.client(
            "s3",
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            config=clients.s3_config(),
        )
        _sessions[:] = [(keys["Expiration"], signer)]
    return _sessions[-1][1]


def forget() -> None:
    """Let the next link be signed by a new session."""
    _sessions.clear()
