"""Notices of backups, published to the stack's topic.

The transaction that writes a failure also writes an item `alert/{record id}`, the outbox. The item is deleted after the
failure was published, so every failure is published at least once.
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
        # Subscriptions can filter by these.
        MessageAttributes={
            "kind": {"DataType": "String", "StringValue": notice.kind},
            "project": {"DataType": "String", "StringValue": notice.project},
        },
    )


def publish_failures(project: str, store: BackupStore) -> dict[str, str | None]:
    """Publish the failures in a cluster's outbox; returns the reason of each by the id of its backup record."""
    published = {}
    for item in store.items.newest("alert/"):
        record = record_of(item["failed"])
        publish(failed(project, record))
        store.items.delete(item["sk"])
        published[record.id] = record.failed_msg
    return published
