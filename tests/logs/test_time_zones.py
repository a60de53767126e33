"""The time zone of a log, and what tables of another format answer."""

from datetime import UTC, datetime

import boto3
import pytest

from logkeep.aws import clients
from logkeep.errors import WrongFormat
from logkeep.logid import LogId
from logkeep.logs import store
from logkeep.logs.format_store import FORMAT, check_format, claim_format
from logkeep.logs.store import log_store
from logkeep.settings import settings
from tests.calls import PROJECT, append

pytestmark = pytest.mark.usefixtures("aws")

LINE = b"2026-01-31 08:00:00,123 INFO up\n"
SHANGHAI = {"logkeep-timezone": "Asia/Shanghai"}


def ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


def test_local_times_are_of_the_zone_that_the_first_append_names(a_log_id: str) -> None:
    answer = append(a_log_id, LINE, headers=SHANGHAI)
    assert answer.json["time_zone"] == "Asia/Shanghai"
    assert answer.json["first_time"] == ms(2026, 1, 31, 0) + 123


def test_a_log_keeps_its_zone(a_log_id: str) -> None:
    append(a_log_id, b"", headers=SHANGHAI)
    answer = append(a_log_id, LINE, headers={"logkeep-timezone": "Europe/Berlin"})
    assert answer.json["time_zone"] == "Asia/Shanghai"
    assert answer.json["last_time"] == ms(2026, 1, 31, 0) + 123


def test_without_a_name_the_zone_is_the_project_s_and_that_is_utc_until_it_is_set(a_log_id: str) -> None:
    assert append(f"{a_log_id}-1", LINE).json["time_zone"] == "UTC"
    log_store(PROJECT).set_time_zone("America/St_Johns")
    answer = append(f"{a_log_id}-2", LINE)
    assert answer.json["time_zone"] == "America/St_Johns"
    assert answer.json["first_time"] == ms(2026, 1, 31, 11, 30) + 123
    assert append(f"{a_log_id}-1", LINE).json["time_zone"] == "UTC"


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "+08:00", "Asia", "é"])
def test_what_is_no_zone_is_refused_by_its_name_and_nothing_is_written(a_log_id: str, name: str) -> None:
    answer = append(a_log_id, LINE, headers={"logkeep-timezone": name})
    assert (answer.status, "Logkeep-Timezone" in answer.json["error_msg"]) == (400, True)
    assert list(log_store(PROJECT).heads(LogId.parse(a_log_id).owner)) == []


def test_a_time_without_a_year_is_the_nearest_before_its_arrival(a_log_id: str) -> None:
    text, log_id = b"Jan 31 08:00:00 host app: x\n", LogId.parse(a_log_id)
    head, _ = log_store(PROJECT).append(log_id, lambda: iter((text,)), 0, received_at=ms(2020, 2, 1))
    assert head.first_time == ms(2020, 1, 31, 8)
    head, _ = log_store(PROJECT).append(log_id, lambda: iter((text,)), None, received_at=ms(2021, 1, 31, 9))
    assert head.last_time == ms(2021, 1, 31, 8)
    first, second = log_store(PROJECT).rows(head)
    assert (first.fragment.received_at, second.fragment.received_at) == (ms(2020, 2, 1), ms(2021, 1, 31, 9))
    assert (first.fragment.line, second.fragment.line) == (0, 1)
    assert second.fragment.newest_time == second.fragment.least_time == ms(2021, 1, 31, 8)


def test_a_table_names_its_format_with_the_first_log_and_another_one_is_refused(a_log_id: str) -> None:
    dynamodb, table = clients.dynamodb(), settings().logs_table
    store._claim_format.cache_clear()
    append(f"{a_log_id}-1", LINE)
    key = {"pk": {"S": "format"}, "sk": {"S": "format"}}
    item = boto3.client("dynamodb").get_item(TableName=table, Key=key)["Item"]
    assert item["format"] == {"N": str(FORMAT)}
    claim_format(dynamodb, table)
    check_format(dynamodb, table)

    boto3.client("dynamodb").put_item(TableName=table, Item=item | {"format": {"N": "77"}})
    store._claim_format.cache_clear()
    try:
        for refuse in (check_format, claim_format):
            with pytest.raises(WrongFormat, match=r"format 77, .* deploy a new stack"):
                refuse(dynamodb, table)
        answer = append(f"{a_log_id}-2", LINE)
        assert (answer.status, "format 77" in answer.json["error_msg"]) == (500, True)
    finally:
        boto3.client("dynamodb").put_item(TableName=table, Item=item)
        store._claim_format.cache_clear()


def test_a_log_of_an_earlier_version_is_refused_in_words(a_log_id: str) -> None:
    append(a_log_id, LINE)
    log_id = LogId.parse(a_log_id)
    boto3.client("dynamodb").update_item(
        TableName=settings().logs_table,
        Key={"pk": {"S": f"{PROJECT}/{log_id.owner}"}, "sk": {"S": f"head/{log_id.rest}"}},
        UpdateExpression="REMOVE grammar",
    )
    answer = append(a_log_id, LINE)
    assert (answer.status, "earlier version" in answer.json["error_msg"]) == (500, True)


def test_a_table_from_before_there_was_a_format_is_refused(monkeypatch: pytest.MonkeyPatch, a_log_id: str) -> None:
    append(a_log_id, LINE)
    dynamodb, table = clients.dynamodb(), settings().logs_table
    monkeypatch.setattr(dynamodb, "get_item", lambda **_: {})
    with pytest.raises(WrongFormat, match="earlier version"):
        check_format(dynamodb, table)
