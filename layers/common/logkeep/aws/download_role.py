"""The S3 clients that sign links. They use sessions of roles, since the expiry of a Lambda's own keys is unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import boto3

from logkeep.aws import clients
from logkeep.settings import settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SESSION: Final = timedelta(hours=1)
_RENEWED_BELOW: Final = timedelta(minutes=20)  # a link is valid for 15
_sessions: Final[dict[str, tuple[datetime, S3Client]]] = {}  # by role, with their expiry


def download_signer(key: str) -> S3Client:
    """A client whose session may read the object and outlives every link that it signs."""
    role = settings().archive_role_arn if key.startswith("backups/") else settings().download_role_arn
    if role not in _sessions or _sessions[role][0] - datetime.now(UTC) < _RENEWED_BELOW:
        answer = clients.sts().assume_role(
            RoleArn=role,
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
        _sessions[role] = (keys["Expiration"], signer)
    return _sessions[role][1]


def forget() -> None:
    """Make the next call start a new session."""
    _sessions.clear()
