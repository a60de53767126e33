"""What a header of labels may say, and what a log's id says."""

import re
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logkeep.errors import Conflict, Invalid
from logkeep.logid import LogId
from logkeep.logs.head import Head
from logkeep.logs.labels import BYTES_MAX, PAIR, derived_from, parse

pytestmark = pytest.mark.unit
APP = LogId.parse("app/shop/web")
TASK = LogId.parse("task/psi/0/main/2")
keys = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}", fullmatch=True).filter(lambda key: key != "kind")
values = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128)


def bytes_of(labels: dict[str, str]) -> int:
    return sum(len(key) + len(value.encode()) for key, value in labels.items())


@given(st.dictionaries(keys, values, max_size=10).filter(lambda labels: bytes_of(labels) <= BYTES_MAX), st.booleans())
def test_labels_are_what_their_header_says(labels: dict[str, str], blanks: bool) -> None:
    header = (" ,\t" if blanks else ",").join(f"{key}={quote(value, safe='')}" for key, value in labels.items())
    assert parse(header, APP) == labels
    assert list(parse(header, APP)) == sorted(labels)


@given(st.text(max_size=60))
def test_whatever_a_header_says_it_is_labels_or_refused_by_its_name(header: str) -> None:
    with suppress(Invalid):
        assert all(re.match(PAIR, f"{key}={value}") for key, value in parse(header, APP).items())


@pytest.mark.parametrize(
    ("header", "labels"),
    [
        ("", {}),
        (" , ", {}),
        ("service=web", {"service": "web"}),
        ("service=web,", {"service": "web"}),
        ("service=web, env=prod", {"service": "web", "env": "prod"}),
        ("query=a=b", {"query": "a=b"}),
        ("padded=YQ==,url=http://web:80/;a", {"padded": "YQ==", "url": "http://web:80/;a"}),
        ("place=K%C3%B6ln%2C%20Deutz", {"place": "Köln, Deutz"}),
        ("percent=100%25", {"percent": "100%"}),
        ("plus=a+b", {"plus": "a+b"}),
        ("kind=app,a=b", {"a": "b"}),
        (f"{'k' * 63}={'v' * 128}", {"k" * 63: "v" * 128}),
        (",".join(f"k{n}={n}" for n in range(10)), {f"k{n}": str(n) for n in range(10)}),
    ],
)
def test_a_header_is_read(header: str, labels: dict[str, str]) -> None:
    assert parse(header, APP) == labels


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("service", "the value of service has 0 characters, and must have 1 to 128"),
        ("service=", "the value of service has 0 characters"),
        (f"service={'v' * 129}", "the value of service has 129 characters"),
        ("=web", "'' is no key"),
        ("1a=x", "'1a' is no key"),
        ("a-b=x", "'a-b' is no key"),
        ("k8s.pod=x", "'k8s.pod' is no key"),
        ("a =x", "'a ' is no key"),
        (f"{'k' * 64}=x", "is no key: it must be a letter or _, and up to 62 more letters, digits and _"),
        ("é=x", "is no key"),
        ("a=b c", "the value of a must be percent-encoded"),
        ("a=é", "the value of a must be percent-encoded"),
        ("a=100%", "the value of a must be percent-encoded"),
        ("a=%zz", "the value of a must be percent-encoded"),
        ("a=%ff", "the value of a is not UTF-8"),
        ("a=%ED%A0%80", "the value of a is not UTF-8"),
        ("a=x%0Ay", "the value of a holds a control character"),
        ("a=%00", "the value of a holds a control character"),
        ("a=%C2%85", "the value of a holds a control character"),
        ("a=1,a=1", "a is given twice"),
        ("kind=build", "kind is app by the log's id"),
        (",".join(f"k{n}={n}" for n in range(11)), "a log has at most 10 labels, and these are 11"),
        (",".join(f"k{n}={'v' * 128}" for n in range(4)), "keys and values have 520 bytes together, and may have 400"),
        (",".join(f"k{n}={'%C3%B6' * 100}" for n in range(2)), "404 bytes together"),
    ],
)
def test_what_is_no_label_is_refused_with_a_reason(header: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(header, APP)
    assert caught.value.field == "Logkeep-Labels"
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("log_id", "labels"),
    [
        ("app/shop/web", {"kind": "app"}),
        ("task/psi/0/main/2",
         {"kind": "task", "task_id": "psi", "replica_idx": "0", "container": "main", "restart": "2"}),
        ("build/r/stage1", {"kind": "build", "record_id": "r", "task_name": "stage1"}),
        ("check/s", {"kind": "check", "sub_job_id": "s"}),
        ("check/s/f.log", {"kind": "check", "sub_job_id": "s", "file": "f.log"}),
        ("cluster/c/i/slow", {"kind": "cluster", "cluster_id": "c", "instance_name": "i", "log_type": "slow"}),
    ],
)  # fmt: skip
def test_an_id_says_labels(log_id: str, labels: dict[str, str]) -> None:
    assert derived_from(LogId.parse(log_id)) == labels


def test_what_an_id_says_may_be_repeated_and_not_contradicted() -> None:
    assert parse("task_id=psi,kind=task,team=a", TASK) == {"team": "a"}
    assert parse("task_id=psi", APP) == {"task_id": "psi"}, "of another kind's id it is a label as others"
    with pytest.raises(Invalid, match="task_id is psi by the log's id"):
        parse("task_id=other", TASK)


def test_labels_are_set_until_the_first_append_and_never_changed() -> None:
    born = Head.born(APP)
    head = born.labelled({"a": "1"}).in_zone(None, lambda: "UTC")
    assert head.labels == {"a": "1"}
    assert head.labelled({}) is head
    assert head.labelled({"a": "1"}) is head
    for other in ({"a": "2"}, {"a": "1", "b": "2"}, {"b": "2"}):
        with pytest.raises(Conflict, match="those of this log are: a=1"):
            head.labelled(other)
    with pytest.raises(Conflict, match="those of this log are: none"):
        born.in_zone(None, lambda: "UTC").labelled({"a": "1"})
