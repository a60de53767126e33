"""The archives of finished backups, alone and as chains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from logkeep.aws.objects import Bucket
from logkeep.backups.cuts import Cut
from logkeep.backups.records import BackupRecord, Status, chain
from logkeep.backups.runs import BackupRuns, backup_runs
from logkeep.backups.store import BackupStore, backup_store
from logkeep.errors import Conflict, RecordNotFound, TooLarge

FILES_MAX: Final = 50_000  # files of a chain that a request looks at: a cut and its layout take 0.2 ms for each


class Archives:
    """The archives of one project's cluster."""

    def __init__(self, bucket: Bucket, store: BackupStore, runs: BackupRuns) -> None:
        self.bucket = bucket
        self.store = store
        self._runs = runs

    def finished(self, id: str) -> BackupRecord:
        """The record of a backup that succeeded. Raises RecordNotFound, or Conflict if it has no archive."""
        record = self.store.record(id)
        if record.status is not Status.SUCCESS:
            raise Conflict(f"the backup {id} is {record.status}: only one that succeeded has an archive")
        if record.key is None:
            raise Conflict(f"the backup {id} has no archive")
        return record

    def chain(self, record: BackupRecord) -> list[BackupRecord]:
        """A backup and those that it continues, down to the full one. Raises Conflict if one of them is gone."""

        def base(id: str) -> BackupRecord:
            try:
                return self.finished(id)
            except (RecordNotFound, Conflict) as error:
                raise Conflict(f"the backup {id}, which {record.id} continues, is gone") from error

        return list(chain(record, base))

    def check_size(self, chain: Sequence[BackupRecord], instead: str) -> None:
        """Raise TooLarge if a chain holds more files than a request has time for; `instead` says what to do then."""
        files = sum(each.logs or 0 for each in chain)
        if files > FILES_MAX:
            raise TooLarge(f"the backup and those that it continues hold {files} files; {instead}")

    def check_exist(self, chain: Sequence[BackupRecord]) -> None:
        """Raise Conflict if an archive of a chain is missing."""
        for each in chain:
            if self.bucket.size(each.key or "") is None:
                raise Conflict(f"the archive of the backup {each.id} is missing")

    def cuts(self, chain: Sequence[BackupRecord]) -> Iterator[Cut]:
        """The cut of each backup, read one at a time. Raises Conflict if one is missing."""
        for each in chain:
            cut = self._runs.cut_of(each.id)
            if cut is None:
                raise Conflict(f"the cut of the backup {each.id} is missing, which lists what its archive holds")
            yield cut


def archives(project: str, cluster: str) -> Archives:
    runs = backup_runs(project, cluster)
    return Archives(runs.bucket, backup_store(project, cluster), runs)
