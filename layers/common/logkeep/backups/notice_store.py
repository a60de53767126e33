"""Notices of backups, published to the topic of the stack.

A failure is put into an outbox, an item `alert/{record id}`, by the transaction that writes it, and taken out behind
its publication: it is told at least once.
"""

from logkeep.aws import clients
from logkeep.backups.notices import Notice, failed
from logkeep.backups.store import BackupStore, record_of
from logkeep.settings import settings


def publish(notice: Notice) -> None:
    clients.sns().publish(
        TopicArn=settings().backup_alerts,
        Subject=notice.subject,
        Message=notice.text,
        # By which a subscription can choose.
        MessageAttributes={
            "kind": {"DataType": "String", "StringValue": notice.kind},
            "project": {"DataType": "String", "StringValue": notice.project},
        },
    )


def publish_failures(project: str, store: BackupStore) -> dict[str, str | None]:
    """Publish what is in a cluster's outbox; why it failed, by the id of the record."""
    told = {}
    for item in store.items.newest("alert/"):
        record = record_of(item["failed"])
        publish(failed(project, record))
        store.items.delete(item["sk"])
        told[record.id] = record.failed_msg
    return told
