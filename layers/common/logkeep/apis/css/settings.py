"""The settings of backups and of the real-time collection: requests and answers of CSS (docs/apis.md#css)."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from logkeep.backups.records import Cluster
from logkeep.backups.settings import PeriodText
from logkeep.params import Segment


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True)


class ActionQuery(_Request):
    """Which collection a request is about: backups, or the real-time collection."""

    action: Literal["base_log_collect", "real_time_log_collect"] = "base_log_collect"

    @property
    def real_time(self) -> bool:
        return self.action == "real_time_log_collect"


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
