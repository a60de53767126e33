"""S3 Object Lock: a locked object cannot be deleted or changed, by anyone or without a special permission.

The current version is locked. Deleting the object only hides that version, and the bucket's lifecycle removes it once
its lock has ended.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from botocore.exceptions import ClientError

from logkeep.aws.objects import Bucket, is_absent
from logkeep.backups.records import LockMode

_DELETED: Final = "MethodNotAllowed"  # S3's answer for a deleted object, whose current version is a delete marker


def retain(bucket: Bucket, keys: Iterable[str], until: int, mode: LockMode) -> None:
    """Lock objects until a time (epoch ms). A lock can be made longer, not shorter. Missing objects are skipped."""
    moment = datetime.fromtimestamp(-(-until // 1000), UTC)  # S3 keeps whole seconds
    for key in keys:
        try:
            bucket.s3.put_object_retention(
                Bucket=bucket.name, Key=key, Retention={"Mode": mode, "RetainUntilDate": moment}
            )
        except ClientError as error:
            if not _is_gone(error):
                raise


def set_legal_hold(bucket: Bucket, keys: Iterable[str], *, on: bool) -> None:
    """Lock objects without an end, or lift that lock. Missing objects are skipped."""
    for key in keys:
        try:
            bucket.s3.put_object_legal_hold(Bucket=bucket.name, Key=key, LegalHold={"Status": "ON" if on else "OFF"})
        except ClientError as error:
            if not _is_gone(error):
                raise


def _is_gone(error: ClientError) -> bool:
    return is_absent(error) or error.response["Error"]["Code"] == _DELETED
