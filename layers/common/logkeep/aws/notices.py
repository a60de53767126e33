"""Notices of backups, published to the topic of the stack.

A failure is put into an outbox, an item `alert/{record id}`, by the transaction that writes it, and taken out behind
its publication: it is told at least once.
"""

from logkeep.aws import clients
from logkeep.aws.backups import BackupStore, record_of
from logkeep.notices import Notice, failed
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


def publish_failures(project: str, store: BackupStore) -> list[str]:
    """Publish what is in a cluster's outbox; the ids of those records."""
    told = []
    for item in store.items.newest("alert/"):
        record = record_of(item["failed"])
        publish(failed(project, record))
        store.items.delete(item["sk"])
        told.append(record.id)
    return told
