"""What AWS answers where the emulator never does: conflicts of single writes, and no word of an object that is gone."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ResponseStreamingError

from logkeep.aws import clients
from logkeep.aws.objects import Bucket
from logkeep.aws.partition import Partition
from logkeep.backups.orders import RunOrder, order_backup
from logkeep.errors import Busy, Corrupt, Unavailable
from logkeep.extents import ObjectRange
from logkeep.logs.format_store import check_format, claim_format
from logkeep.settings import settings
from tests.calls import CLUSTER, PROJECT
from tests.faults import answering, cut, lost
from tests.orders import ordered

pytestmark = [pytest.mark.usefixtures("aws"), pytest.mark.no_faults("puts its own")]


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
    "try_update": ("TransactWriteItems", lambda items: items.try_update("item", {"n": 2}, {"n": 1}), {"n": 2}),
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


@pytest.mark.parametrize("code", ["", "InternalError"])
def test_a_conditional_write_whose_answer_is_lost_is_known_again(partition: Partition, code: str) -> None:
    """A conditional update would be refused by what its own first try has changed."""
    with lost(clients.dynamodb(), "TransactWriteItems", repeated=code) as answers:
        assert partition.try_update("item", {"n": 2}, {"n": 1})
    assert len(answers) == (3 if code else 2)
    assert not partition.try_update("item", {"n": 3}, {"n": 1}), "another writer was faster"
    assert (partition.get("item") or {})["n"] == 2


def test_a_first_write_whose_answer_is_lost_is_no_conflict() -> None:
    table = settings().logs_table
    with lost(clients.dynamodb(), "PutItem") as answers:
        claim_format(clients.dynamodb(), table)
    assert len(answers) == 2
    check_format(clients.dynamodb(), table)


@pytest.mark.parametrize("repeated", [False, True])
def test_a_small_object_whose_body_breaks_off_is_read_again(repeated: bool) -> None:
    bucket = Bucket(clients.s3(), settings().bucket)
    bucket.s3.put_object(Bucket=bucket.name, Key="whole", Body=b"abc" * 1000)
    with cut(clients.s3(), times=9 if repeated else 2) as answers:
        if repeated:
            with pytest.raises((IncompleteReadError, ResponseStreamingError)):
                bucket.whole("whole")
        else:
            assert (found := bucket.whole("whole"))
            assert found.content == b"abc" * 1000
    assert len(answers) == 3
    assert bucket.whole("none") is None


def test_another_refusal_is_not_taken_for_a_conflict(partition: Partition) -> None:
    with answering(clients.dynamodb(), "UpdateItem", "AccessDeniedException", times=1), pytest.raises(ClientError):
        partition.update("item", {"n": 2})


@pytest.mark.parametrize(("code", "answer"), [("TooManyRequestsException", Unavailable), ("NoSuchThing", ClientError)])
def test_an_order_that_lambda_refuses_for_now_says_so(code: str, answer: type[Exception]) -> None:
    with answering(clients.functions(), "Invoke", code, times=1), pytest.raises(answer):
        order_backup(RunOrder(project=PROJECT, cluster=CLUSTER))
    assert ordered("RunBackup") == []


@pytest.mark.parametrize("code", ["NoSuchKey", "AccessDenied"])
def test_an_object_that_is_gone_is_named_whatever_s3_says_of_it(code: str) -> None:
    bucket = Bucket(clients.s3(), settings().bucket)
    with answering(clients.s3(), "GetObject", code, times=1), pytest.raises(Corrupt, match=r"logs/gone\.gz is missing"):
        list(bucket.read([ObjectRange("logs/gone.gz", 0, 5)]))
