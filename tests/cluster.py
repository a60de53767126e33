"""The stores of the cluster that backups are tested with."""

import pytest

from logkeep.backups.runs import BackupRuns, backup_runs
from logkeep.backups.store import BackupStore, backup_store
from logkeep.logs.store import LogStore, log_store
from logkeep.restores.store import Restores, restores
from tests.calls import CLUSTER, PROJECT


@pytest.fixture
def logs(aws) -> LogStore:
    return log_store(PROJECT)


@pytest.fixture
def store(aws) -> BackupStore:
    store = backup_store(PROJECT, CLUSTER)
    store.enable()
    return store


@pytest.fixture
def runs(store: BackupStore) -> BackupRuns:
    return backup_runs(PROJECT, CLUSTER)


@pytest.fixture
def restoring(store: BackupStore) -> Restores:
    return restores(PROJECT, CLUSTER)
