"""What can be set for a cluster's backups."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from logkeep.backups.schedule import Period
from logkeep.errors import ForeignBucket, Invalid
from logkeep.params import Segment

SERVICES_MAX: Final = 10  # whose events are backed up with a cluster
CHAIN_MAX: Final = 100  # backups, of which one is full: showing, holding or restoring one walks to that
_BASE_PATH_MAX: Final = 512  # S3 takes keys of 1024 bytes, in which this is one part
_BASE_PATH_FORBIDDEN: Final = re.compile(r"[\\:*?\"<>|'{}.\x00-\x1f]")


def _base_path(path: str) -> str:
    if len(path.encode()) > _BASE_PATH_MAX:
        raise ValueError(f"must not be longer than {_BASE_PATH_MAX} bytes")
    if path.startswith("/") or _BASE_PATH_FORBIDDEN.search(path):
        raise ValueError("must not begin with / nor hold any of \\ : * ? \" < > | ' { } .")
    return path


def _period(text: str) -> str:
    Period.parse(text)
    return text


def _unique(services: list[str]) -> list[str]:
    if len(set(services)) < len(services):
        raise ValueError("names a service twice")
    return services


type Agency = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]
type BasePath = Annotated[str, Field(min_length=1), AfterValidator(_base_path)]
type BucketName = Annotated[str, Field(min_length=1, max_length=255)]
type KeepDays = Annotated[int, Field(ge=1, le=3650)]
type IndexPrefix = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
type PeriodText = Annotated[str, AfterValidator(_period)]
type Services = Annotated[list[Segment], Field(max_length=SERVICES_MAX), AfterValidator(_unique)]


BACKUP_FIELDS: Final = ("agency", "log_base_path", "log_bucket")  # that base_log_collect needs
BACKUP_SETTINGS: Final = (*BACKUP_FIELDS, "auto_enable", "period", "full_every", "services", "backup_keep_days")
REAL_TIME_FIELDS: Final = ("index_prefix", "keep_days", "target_cluster_id")


class LogSettings(BaseModel):
    """The body of logs/open and logs/settings: what is not told stays as it is.

    `full_every`, `services` and `backup_keep_days` are ours. `keep_days` is of the real-time collection alone: the
    published client sends it without an action, so it never tells how long archives are kept.
    """

    model_config = ConfigDict(frozen=True)

    agency: Agency | None = None
    log_base_path: BasePath | None = None
    # The published example spells it log_Bucket.
    log_bucket: BucketName | None = Field(default=None, validation_alias=AliasChoices("log_bucket", "log_Bucket"))
    auto_enable: bool | None = None
    period: PeriodText | None = None
    index_prefix: IndexPrefix | None = None
    keep_days: KeepDays | None = None
    target_cluster_id: Segment | None = None
    full_every: Annotated[int, Field(ge=1, le=CHAIN_MAX)] | None = None
    services: Services | None = None
    backup_keep_days: KeepDays | None = None

    def tells(self, *names: str) -> bool:
        """Whether it has a value for one of these."""
        return any(getattr(self, name) is not None for name in names)

    def check(self, *needed: str, bucket: str) -> None:
        """Raise Invalid where one of these is missing, ForeignBucket where logs should go to another bucket."""
        for name in needed:
            if getattr(self, name) is None:
                raise Invalid(name, "is required")
        if self.log_bucket not in {None, bucket}:
            raise ForeignBucket(f"log_bucket: backups are kept in {bucket}")
