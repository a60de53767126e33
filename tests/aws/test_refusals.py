"""What AWS answers where the emulator never does: conflicts of single writes, and no word of an object that is gone."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from logkeep.aws import clients
from logkeep.aws.objects import Bucket
from logkeep.aws.partition import Partition
from logkeep.errors import Busy, Corrupt
from logkeep.extents import ObjectRange
from logkeep.settings import settings
from tests.faults import answering

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("logkeep.aws.dynamo.time.sleep", lambda _: None)


@pytest.fixture
def partition() -> Partition:
    made = Partition(clients.dynamodb(), settings().backups_table, "refusals")
    clients.dynamodb().put_item(**made.put_of("item", {"n": 1}))
    return made


CHANGES: dict[str, tuple[str, Callable[[Partition], Any], dict[str, Any] | None]] = {
    "update": ("UpdateItem", lambda items: items.update("item", {"n": 2}), {"n": 2}),
    "try_update": ("UpdateItem", lambda items: items.try_update("item", {"n": 2}, {"n": 1}), {"n": 2}),
    "delete": ("DeleteItem", lambda items: items.delete("item"), None),
}


@pytest.mark.parametrize("code", ["TransactionConflictException", "ThrottlingException"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_write_that_meets_a_transaction_is_repeated(partition: Partition, change: str, code: str) -> None:
    operation, write, after = CHANGES[change]
    with answering(clients.dynamodb(), operation, code, times=3):
        assert write(partition) in {None, True}
    item = partition.get("item")
    assert (item and {"n": item["n"]}) == after


@pytest.mark.parametrize("change", CHANGES)
def test_a_write_that_always_meets_one_says_busy(partition: Partition, change: str) -> None:
    operation, write, _ = CHANGES[change]
    with answering(clients.dynamodb(), operation, "TransactionConflictException", times=1000), pytest.raises(Busy):
        write(partition)
    assert (partition.get("item") or {})["n"] == 1


def test_another_refusal_is_not_taken_for_a_conflict(partition: Partition) -> None:
    with answering(clients.dynamodb(), "UpdateItem", "AccessDeniedException", times=1), pytest.raises(ClientError):
        partition.update("item", {"n": 2})


@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied"])
def test_an_object_that_is_gone_is_named_whatever_s3_says_of_it(code: str) -> None:
    bucket = Bucket(clients.s3(), settings().bucket)
    with answering(clients.s3(), "GetObject", code, times=1), pytest.raises(Corrupt, match=r"logs/gone\.gz is missing"):
        list(bucket.read([ObjectRange("logs/gone.gz", 0, 5)]))
