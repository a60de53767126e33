"""Environment variables of the functions, each read once and named in one place."""

import os
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Settings:
    bucket: str
    logs_table: str
    events_table: str
    backups_table: str
    credentials_table: str
    build_queue_url: str
    download_role_arn: str
    event_retention_days: int
    build_seconds: float  # a request waits so long for a file to be put together

    @classmethod
    def from_env(cls) -> "Settings":
        env = os.environ
        return cls(
            bucket=env["BUCKET"],
            logs_table=env["LOGS_TABLE"],
            events_table=env["EVENTS_TABLE"],
            backups_table=env["BACKUPS_TABLE"],
            credentials_table=env["CREDENTIALS_TABLE"],
            build_queue_url=env["BUILD_QUEUE_URL"],
            download_role_arn=env["DOWNLOAD_ROLE_ARN"],
            event_retention_days=int(env["EVENT_RETENTION_DAYS"]),
            build_seconds=float(env["BUILD_SECONDS"]),
        )


settings = cache(Settings.from_env)
