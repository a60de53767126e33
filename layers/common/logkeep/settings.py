"""The environment variables of the functions, each named here only. template.yaml sets them."""

import os
from dataclasses import dataclass
from functools import cache
from typing import Literal


@dataclass(frozen=True, slots=True)
class Settings:
    bucket: str
    logs_table: str
    events_table: str
    backups_table: str
    credentials_table: str
    limits_table: str
    token_keys: str  # name or ARN of the secret
    build_render: str  # names of the workers; a worker knows only its own
    pack_logs: str
    delete_logs: str
    run_backup: str
    run_restore: str
    download_role_arn: str  # signs links to renders
    archive_role_arn: str  # signs links to archives of backups
    event_retention_days: int
    log_retention_days: int | None  # None: logs without another setting are kept
    build_seconds: float  # for which a request waits for a render to be built
    follow_seconds: float  # for which a streamed answer may last
    backup_full_every: int  # one in so many backups of a cluster is full
    backup_keep_days: int  # for clusters that set no days of their own
    backup_lock_days: int  # 0: no Object Lock
    backup_lock_mode: Literal["GOVERNANCE", "COMPLIANCE"]
    backup_alerts: str  # ARN of the SNS topic
    project_rate: float  # units a second that a project may use in the long run
    project_burst: int  # units that a project may use at once
    project_metrics: bool  # whether lines of requests are metrics, too
    metrics_namespace: str

    @classmethod
    def from_env(cls) -> "Settings":
        env = os.environ
        # CloudFormation cannot give a function its own name: each would have to be made before the other.
        itself = env.get("AWS_LAMBDA_FUNCTION_NAME", "")
        return cls(
            bucket=env["BUCKET"],
            logs_table=env["LOGS_TABLE"],
            events_table=env["EVENTS_TABLE"],
            backups_table=env["BACKUPS_TABLE"],
            credentials_table=env["CREDENTIALS_TABLE"],
            limits_table=env["LIMITS_TABLE"],
            token_keys=env["TOKEN_KEYS"],
            build_render=env.get("BUILD_RENDER", itself),
            pack_logs=env.get("PACK_LOGS", itself),
            delete_logs=env.get("DELETE_LOGS", itself),
            run_backup=env.get("RUN_BACKUP", itself),
            run_restore=env.get("RUN_RESTORE", itself),
            download_role_arn=env["DOWNLOAD_ROLE_ARN"],
            archive_role_arn=env["ARCHIVE_ROLE_ARN"],
            event_retention_days=int(env["EVENT_RETENTION_DAYS"]),
            log_retention_days=int(env["LOG_RETENTION_DAYS"]) or None,
            build_seconds=float(env["BUILD_SECONDS"]),
            follow_seconds=float(env["FOLLOW_SECONDS"]),
            backup_full_every=int(env["BACKUP_FULL_EVERY"]),
            backup_keep_days=int(env["BACKUP_KEEP_DAYS"]),
            backup_lock_days=int(env["BACKUP_LOCK_DAYS"]),
            backup_lock_mode="COMPLIANCE" if env["BACKUP_LOCK_MODE"] == "COMPLIANCE" else "GOVERNANCE",
            backup_alerts=env["BACKUP_ALERTS"],
            project_rate=float(env["PROJECT_RATE"]),
            project_burst=int(float(env["PROJECT_BURST"])),
            project_metrics=env["PROJECT_METRICS"] == "true",
            metrics_namespace=env["METRICS_NAMESPACE"],
        )


settings = cache(Settings.from_env)
