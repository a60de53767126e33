"""The settings of backups and of the real-time collection: requests and answers of CSS (docs/apis.md#css)."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, model_validator

from logkeep.backups.records import Cluster
from logkeep.backups.schedule import PERIOD, Period
from logkeep.backups.settings import CHAIN_MAX, SERVICES_MAX, SettingsChange
from logkeep.errors import ForeignBucket, Invalid
from logkeep.params import Boolean, Decimal, Integer, Segment

_BASE_PATH_MAX: Final = 512  # bytes; it is one part of an object's key, and S3 allows 1024 bytes for that
_FORBIDDEN: Final = r"\\:*?\"<>|'{}.\x00-\x1f"  # in a base path
_BASE_PATH_FORBIDDEN: Final = re.compile(f"[{_FORBIDDEN}]")
_NEEDED: Final = ("agency", "log_base_path", "log_bucket")  # to switch backups on
_BACKUP_FIELDS: Final = (*_NEEDED, "auto_enable", "period", "full_every", "services", "backup_keep_days")
_REAL_TIME_FIELDS: Final = ("index_prefix", "keep_days", "target_cluster_id")


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
type BasePath = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"pattern": rf"^[^/{_FORBIDDEN}][^{_FORBIDDEN}]*$"}),
    AfterValidator(_base_path),
]
type BucketName = Annotated[str, Field(min_length=1, max_length=255)]
type KeepDays = Annotated[Decimal, Field(ge=1, le=3650)]
type IndexPrefix = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
type PeriodText = Annotated[str, AfterValidator(_period), Field(json_schema_extra={"pattern": f"^{PERIOD.pattern}$"})]
type Services = Annotated[list[Segment], Field(max_length=SERVICES_MAX), AfterValidator(_unique)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True)


class ActionQuery(_Request):
    """Which collection a request is about: backups, or the real-time collection."""

    action: Literal["base_log_collect", "real_time_log_collect"] = "base_log_collect"

    @property
    def real_time(self) -> bool:
        return self.action == "real_time_log_collect"


class SettingsRequest(_Request):
    """The body of logs/open and logs/settings (docs/apis.md#css): a field that is empty or null changes nothing.

    `full_every`, `services` and `backup_keep_days` are ours. `keep_days` is a field of the real-time collection only.
    The published client sends it without an action, so it must not set how long archives are kept.
    """

    agency: Agency | None = None
    # Terraform's provider spells these two in camel case, and the published example one of them log_Bucket.
    log_base_path: BasePath | None = Field(default=None, validation_alias=AliasChoices("log_base_path", "logBasePath"))
    log_bucket: BucketName | None = Field(
        default=None, validation_alias=AliasChoices("log_bucket", "logBucket", "log_Bucket")
    )
    auto_enable: Boolean | None = None
    period: PeriodText | None = None
    index_prefix: IndexPrefix | None = None
    keep_days: KeepDays | None = None
    target_cluster_id: Segment | None = None
    full_every: Annotated[Integer, Field(ge=1, le=CHAIN_MAX)] | None = None
    services: Services | None = None
    backup_keep_days: Annotated[Integer, Field(ge=1, le=3650)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, value: Any) -> Any:
        return {name: each for name, each in value.items() if each != ""} if isinstance(value, dict) else value

    @property
    def change(self) -> SettingsChange:
        """What it changes of the settings of backups."""
        return SettingsChange(
            agency=self.agency,
            base_path=self.log_base_path,
            auto_enable=self.auto_enable,
            period=self.period,
            full_every=self.full_every,
            services=self.services,
            keep_days=self.backup_keep_days,
        )

    @property
    def has_backup_fields(self) -> bool:
        return self._has_any(_BACKUP_FIELDS)

    @property
    def has_real_time_fields(self) -> bool:
        return self._has_any(_REAL_TIME_FIELDS)

    def check_complete(self, *, real_time: bool) -> None:
        """Raise Invalid if a field is missing that is needed to switch the collection on."""
        for name in _REAL_TIME_FIELDS if real_time else _NEEDED:
            if getattr(self, name) is None:
                raise Invalid(name, "is required")

    def check_bucket(self, bucket: str) -> None:
        """Raise ForeignBucket if the body names another bucket than the stack's."""
        if self.log_bucket not in {None, bucket}:
            raise ForeignBucket(f"log_bucket: backups are kept in {bucket}")

    def _has_any(self, names: tuple[str, ...]) -> bool:
        return any(getattr(self, name) is not None for name in names)


class PolicyRequest(_Request):
    period: PeriodText


class TargetRequest(_Request):
    target_cluster_id: Segment


class LogConfiguration(BaseModel):
    """The published answer of logs/settings for backups. `updateAt` is in epoch milliseconds.

    `services`, `backupKeepDays` and `fullEvery` are ours.
    """

    id: str
    clusterId: str
    obsBucket: str
    agency: str | None
    updateAt: int
    basePath: str
    autoEnable: bool
    period: str | None
    logSwitch: bool
    services: list[str]
    backupKeepDays: int
    fullEvery: int

    @classmethod
    def of(cls, cluster: Cluster, bucket: str, keep_days: int, full_every: int) -> "LogConfiguration | None":
        """None if backups never were switched on. `keep_days` and `full_every` are for a cluster that has none."""
        if not cluster.enabled:
            return None
        return cls(
            id=cluster.settings_id,
            clusterId=cluster.cluster_id,
            obsBucket=bucket,
            agency=cluster.agency,
            updateAt=cluster.updated_at,
            basePath=cluster.base_path,
            autoEnable=cluster.auto_enable,
            period=cluster.period if cluster.auto_enable else None,
            logSwitch=cluster.log_switch,
            services=list(cluster.services),
            backupKeepDays=cluster.keep_days or keep_days,
            fullEvery=cluster.full_every or full_every,
        )


class RealTimeLogCollectRecord(BaseModel):
    """The published answer of logs/settings for the real-time collection; times in epoch milliseconds."""

    id: str
    clusterId: str
    indexPrefix: str
    keepDays: int
    targetClusterId: str
    status: str
    createAt: int
    updateAt: int

    @classmethod
    def of(cls, cluster: Cluster) -> "RealTimeLogCollectRecord | None":
        """None if the cluster has no real-time collection."""
        return cls.model_validate(cluster.real_time) if cluster.real_time else None


class SettingsAnswer(BaseModel):
    logConfiguration: LogConfiguration | None
    realTimeLogCollectRecord: RealTimeLogCollectRecord | None
