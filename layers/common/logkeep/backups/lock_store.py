"""S3 Object Lock: what is locked cannot be deleted or changed, by nobody or only with a permission of its own.

It locks the version that is current. Deleting hides that, and the bucket's lifecycle removes it once its lock has
ended.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from botocore.exceptions import ClientError

from logkeep.aws.objects import Bucket, is_absent
from logkeep.backups.records import LockMode

_DELETED: Final = "MethodNotAllowed"  # so S3 answers a lock of what was deleted, whose current version is a marker


def retain(bucket: Bucket, keys: Iterable[str], until: int, mode: LockMode) -> None:
    """Lock objects until then (epoch ms); a lock can be made longer, not shorter. What is not there is left out."""
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
    """Lock objects until this is called again, or not any more. What is not there is left out."""
    for key in keys:
        try:
            bucket.s3.put_object_legal_hold(Bucket=bucket.name, Key=key, LegalHold={"Status": "ON" if on else "OFF"})
        except ClientError as error:
            if not _is_gone(error):
                raise


def _is_gone(error: ClientError) -> bool:
    return is_absent(error) or error.response["Error"]["Code"] == _DELETED
