"""What the sweep of a bucket of many logs costs, counted with heads that have no text."""

from logkeep.apis.logs.worker import tend_logs
from logkeep.aws import clients
from logkeep.aws.dynamo import encode, write_all
from logkeep.clock import DAY, HOUR
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.items import head_item
from logkeep.logs.project_store import note_project
from logkeep.logs.store import log_store
from logkeep.logs.tending_store import tending
from logkeep.settings import settings
from tests.calls import PROJECT
from tests.faults import counted
from tests.logs.test_expiry import NOW, time  # noqa: F401 - a fixture

COUNT = 400


def test_many_logs_are_filed_in_batches_and_then_cost_nothing(aws, time) -> None:  # noqa: F811 - a fixture
    dynamodb, table = clients.dynamodb(), settings().logs_table
    note_project(dynamodb, table, PROJECT)
    heads = (Head.born(LogId.parse(f"app/{number:05d}"), NOW) for number in range(COUNT))
    write_all(dynamodb, table, ({"PutRequest": {"Item": encode(head_item(PROJECT, head))}} for head in heads))
    log_store(PROJECT).expiry.set({"app": 300}, {})
    (refiling,) = tending(PROJECT).due(NOW + HOUR)
    with counted() as requests:
        tending(PROJECT).refile(refiling, NOW + HOUR, lambda: False)  # type: ignore[arg-type]  # the only one there is
    assert requests["BatchGetItem"] == COUNT / 100
    assert requests["BatchWriteItem"] == COUNT / 25
    assert requests.total() < COUNT / 100 + COUNT / 25 + 10
    with counted() as requests:
        tend_logs(NOW + 100 * DAY)
    assert requests["GetItem"] + requests["BatchGetItem"] < 5, "no log is looked at before its day"
    assert len([*tending(PROJECT).due(NOW + 301 * DAY)]) == COUNT
