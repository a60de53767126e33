"""Texts of the notices of backups that failed or did not happen."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from logkeep.backups.records import BackupRecord

SUBJECT_MAX: Final = 99  # characters: SNS wants fewer than 100

_NEXT_ONE: Final = """\
Earlier backups are not affected, and the next one takes what this one would have taken. To try at once:
  POST /v1.0/{project}/clusters/{cluster}/logs/collect
If the reason is an object below logs/ that is missing or damaged, that log has lost bytes, and trying again does not
help. Restore what earlier backups hold of it under a prefix:
  POST /v1.0/{project}/clusters/{cluster}/logs/records/{{record_id}}/restore
If it fails again for another reason, look for the record in the log group of the functions."""
_LOOK: Final = """\
Look at the cluster's records for the reason:
  GET /v1.0/{project}/clusters/{cluster}/logs/records?status=FAIL
If there are none, backups were not started: look at the functions schedule_backups and run_backup, and at the dead
letters. This notice is repeated every day until a backup succeeds."""


@dataclass(frozen=True, slots=True)
class Notice:
    """`subject` is ASCII and at most SUBJECT_MAX characters."""

    kind: Literal["failed", "missed"]
    project: str
    subject: str
    text: str


def failed(project: str, record: BackupRecord) -> Notice:
    """The notice of a backup that failed."""
    began = "Due" if record.job_type == "Auto" else "Started by hand"
    facts = {
        "Project": project,
        "Cluster": record.cluster_id,
        "Record": record.id,
        began: _moment(record.created_at),
        "Failed": _moment(record.finished_at),
        "Reason": record.failed_msg or "unknown",
    }
    return _notice("failed", project, record.cluster_id, "A backup of the cluster's logs failed.", facts, _NEXT_ONE)


def missed(project: str, cluster: str, last: BackupRecord | None) -> Notice:
    """The notice of a cluster without a success for too long; `last` is the last success."""
    facts = {
        "Project": project,
        "Cluster": cluster,
        "Last success": _moment(last.finished_at) + f" (record {last.id})" if last else "none",
    }
    summary = "No backup of the cluster's logs has succeeded for more than a day and a half."
    return _notice("missed", project, cluster, summary, facts, _LOOK)


def _notice(
    kind: Literal["failed", "missed"], project: str, cluster: str, summary: str, facts: dict[str, str], advice: str
) -> Notice:
    rows = "\n".join(f"{name + ':':<17}{value}" for name, value in facts.items())
    text = f"{summary}\n\n{rows}\n\n{advice.format(project=project, cluster=cluster)}\n"
    return Notice(kind, project, f"Logkeep: backup {kind}, cluster {cluster}"[:SUBJECT_MAX], text)


def _moment(at: int | None) -> str:
    return f"{datetime.fromtimestamp((at or 0) / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
