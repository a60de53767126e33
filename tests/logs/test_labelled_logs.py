"""Labels of logs, over events: with the first append, in heads, certificates and listings, and never changed."""

import pytest

from bench.prices import item_size, write_units
from logkeep.aws.dynamo import encode
from logkeep.errors import Conflict
from logkeep.logid import LogId
from logkeep.logs.items import head_item
from logkeep.logs.store import log_store
from tests.calls import PROJECT, append, call, event, seal
from tests.faults import at_once

pytestmark = pytest.mark.usefixtures("aws")
LOG = "app/shop/web/2026-11-28-0f3ab29c"
LINE = b"2026-11-28 08:00:00 INFO up\n"
TYPICAL = "service_name=checkout,service_namespace=shop,deployment_environment=prod,k8s_cluster=eu-1,host=ip-10-0-3-7"


def labelled(labels: str, body: bytes = LINE, offset: int | None = 0, log_id: str = LOG):
    return append(log_id, body, offset, headers={"logkeep-labels": labels})


def listed(query: str = "") -> dict[str, dict[str, str]]:
    answer = call("list_logs", event("list_logs", rawQueryString=query))
    return {each["log_id"]: each["labels"] for each in answer.json["logs"]}


def test_labels_come_with_the_first_append_and_are_in_certificates_and_listings() -> None:
    labels = {"kind": "app", "service": "web", "city": "Köln"}
    assert labelled("service=web,city=K%C3%B6ln").json["labels"] == labels
    assert append(LOG, b"more\n", None).json["labels"] == labels
    assert seal(LOG).json["labels"] == labels
    assert listed() == {LOG: labels}


def test_the_same_labels_again_change_nothing_and_others_are_a_conflict() -> None:
    assert labelled("a=1,b=2").status == 202
    assert labelled("b=2,a=1").status == 200
    assert labelled("b=2,a=1,kind=app", b"more\n", None).status == 202
    version = log_store(PROJECT).head(LogId.parse(LOG)).version
    for other in ("a=1", "a=1,b=3", "a=1,b=2,c=3"):
        answer = labelled(other, b"text that is not written\n", None)
        assert (answer.status, "those of this log are: a=1 b=2" in answer.json["error_msg"]) == (409, True)
    assert log_store(PROJECT).head(LogId.parse(LOG)).version == version


def test_an_append_of_nothing_sets_them_and_a_seal_before_it_does_not() -> None:
    assert labelled("a=1", b"").status == 202
    assert labelled("a=2", b"").status == 409
    other = "app/lost"
    assert seal(other, bytes=len(LINE)).json["labels"] == {"kind": "app"}
    assert labelled("a=2", log_id=other).json["labels"] == {"kind": "app", "a": "2"}


def test_a_log_of_another_kind_answers_the_parts_of_its_id_as_labels() -> None:
    said = {"kind": "task", "task_id": "psi", "replica_idx": "0", "container": "main", "restart": "1"}
    assert labelled("team=a", log_id="task/psi/0/main/1").json["labels"] == {**said, "team": "a"}
    assert log_store(PROJECT).head(LogId.parse("task/psi/0/main/1")).labels == {"team": "a"}, (
        "the others are not stored"
    )


def test_bad_labels_are_refused_by_the_header_s_name_and_nothing_is_written() -> None:
    for header in ("a-b=1", "a=1,a=2", "a=b c"):
        answer = labelled(header)
        assert (answer.status, answer.json["error_msg"].partition(":")[0]) == (400, "Logkeep-Labels")
    assert listed() == {}


def test_of_first_appends_at_once_one_sets_the_labels() -> None:
    store, log_id = log_store(PROJECT), LogId.parse(LOG)

    def begin(writer: str) -> str | None:
        try:
            store.append(log_id, lambda: iter((LINE,)), 0, labels={"writer": writer})
        except Conflict:
            return None
        return writer

    (won,) = filter(None, at_once(*[lambda n=n: begin(str(n)) for n in range(4)]))
    assert listed() == {LOG: {"kind": "app", "writer": won}}
    assert store.head(log_id).end == len(LINE)


def test_a_head_of_typical_labels_is_written_for_the_least_units() -> None:
    """A day of an app's log, packed in objects, whose last line is whole."""
    store, log_id = log_store(PROJECT), LogId.parse(LOG)
    text = b"".join(b"2026-11-28 08:%02d:00,123 %s request %d\n" % (n % 60, level, n)
                    for n in range(400) for level in (b"DEBUG", b"INFO", b"WARN", b"ERROR"))  # fmt: skip
    labels = dict(pair.split("=") for pair in TYPICAL.split(","))
    head, _ = store.append(log_id, lambda: iter((text,)), 0, labels=labels)
    size = item_size(encode(head_item(PROJECT, head)))
    assert (size < 1000, write_units(size)) == (True, 1)
