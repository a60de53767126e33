"""Orders to the workers of backups and of restores and verifications."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from logkeep.aws import orders
from logkeep.backups.jobs import JobKind
from logkeep.settings import settings


class _Order(BaseModel):
    model_config = ConfigDict(frozen=True)

    project: str
    cluster: str


class RunOrder(_Order):
    """Continue the backup that runs."""

    kind: Literal["run"] = "run"
    not_before: int = 0  # epoch ms, a few seconds from now


class ExpireOrder(_Order):
    """Delete the expired backups."""

    kind: Literal["expire"] = "expire"


class JobOrder(_Order):
    """Continue the restore or the full verification of a backup."""

    kind: JobKind
    record: str


type BackupOrder = Annotated[RunOrder | ExpireOrder, Field(discriminator="kind")]

BACKUP_ORDERS: Final = TypeAdapter[RunOrder | ExpireOrder](BackupOrder)


def order_backup(order: BackupOrder) -> None:
    orders.send(settings().run_backup, order)


def order_job(order: JobOrder) -> None:
    orders.send(settings().run_restore, order)
