"""What the dearest requests cost, and how many units of its limit a project gives for them (the table of the docs)."""

import gzip
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from admin import prices
from admin.cost import Usage, costs_of, steps
from local.template import Template
from logkeep.clock import DAY
from logkeep.limits import ANSWER_MAX
from logkeep.logid import LogId
from logkeep.logs.store import log_store
from logkeep.web import cost
from logkeep.web.cost import UNIT, Use
from tests.calls import (
    CLUSTER,
    PROJECT,
    a_build,
    append,
    call,
    forget_aws,
    list_events,
    log_request,
    put_events,
    read,
    send,
)
from tests.examples import LONG
from tests.faults import counted

MILLIONTHS: Final = 1e6
LIST_MAX: Final = 1000
MEMORY: Final = {"search_logs": 1769}  # MiB, else 512
COUNTED_BEFORE: Final = 1

type Line = dict[str, Any]


def test_the_prices_are_those_of_the_report() -> None:
    """The layer cannot import them: they are not deployed."""
    assert pytest.approx((prices.API_REQUEST + prices.LAMBDA_REQUEST) * MILLIONTHS) == cost.REQUEST
    assert pytest.approx(prices.API_REQUEST * MILLIONTHS) == cost.STEP
    assert cost.STEP_BYTES == prices.API_STEP
    assert pytest.approx(prices.LAMBDA_GB_SECOND * MILLIONTHS) == cost.GB_SECOND
    assert pytest.approx(prices.WRITE_UNIT * MILLIONTHS) == cost.WRITE_UNIT
    assert pytest.approx(prices.READ_UNIT * MILLIONTHS) == cost.READ_UNIT
    assert pytest.approx(prices.GB_OUT / prices.GB * MILLIONTHS) == cost.BYTE_OUT
    listed = {name: price for part in ("s3", "orders") for name, price in prices.CALLS[part].items()}
    assert {name: price / MILLIONTHS for name, price in cost.CALLS.items()} == {
        name: pytest.approx(listed[name]) for name in cost.CALLS
    }


@pytest.fixture
def lines(aws: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Line]:
    """The line of the last request. What the time costs is left out of it: that of this machine means nothing."""
    told: list[Line] = []
    monkeypatch.setattr("logkeep.web.entrypoints.logger.info", lambda _, extra: told.append(extra))
    monkeypatch.setattr(cost, "GB_SECOND", 0.0)
    monkeypatch.setattr("logkeep.identity.credential_store.CACHED_FOR", math.inf)  # however slow this machine is
    append(a_build("first"), b"")  # a process writes the format of its table once, and reads a credential
    return told.pop


_LIMITER = 1.0  # write units of the limiter, which does not count every request by itself


def dollars(line: Line, seconds: float) -> float:
    """Millionths, as admin/cost.py has them, for a request that takes this long."""
    used, sent = line["used"], line["bytes_out"]
    usage = Usage(
        project="p", function=line["function"], memory=MEMORY.get(line["function"], 512), requests=1,
        steps=steps(line["bytes_in"], sent), milliseconds=seconds * 1000, read_units=used["read_units"],
        write_units=used["write_units"], calls=used["calls"], bytes_out=sent, bytes_linked=line["bytes_linked"],
    )  # fmt: skip
    (found,) = costs_of([usage], {}, project_metrics=False)
    return (found.total - found.parts["keys"]) * MILLIONTHS


def row(name: str, line: Line, seconds: float) -> str:
    """A row of the table: what a request costs, and what it is counted as with the time that it takes."""
    price = dollars(line, seconds)
    timed = price - dollars(line, 0)
    units = max(line["units"], math.ceil((price_of(line) + timed) / UNIT))
    return f"| {name} | {price:,.0f} | {COUNTED_BEFORE} | {units} | {price / units:,.0f} |"


def price_of(line: Line) -> float:
    use = Use(bytes_in=line["bytes_in"], bytes_out=line["bytes_out"], bytes_linked=line["bytes_linked"], **line["used"])
    return use.price


def _days(number: int) -> list[dict[str, Any]]:
    now = int(time.time()) * 1000
    return [{"occur_time": now - n * DAY, "event_type": "normal", "event_info": f"{n}"} for n in range(number)]


def measured(lines: Callable[[], Line]) -> Iterator[str]:
    text = "".join(f"2026-11-22 05:00:00,{n % 1000:03d} [main] INFO  line {n} of the build\n" for n in range(1200))
    assert append(a_build("cost-a"), text.encode()[: 64 << 10]).status == 202
    yield row("a log's first append, of 64 KB", lines(), 0.1)
    assert put_events(_days(1)).json["accepted"] == 1
    yield row("an event", lines(), 0.1)

    packed = gzip.compress(bytes(32 << 20), 9)
    assert append(a_build("cost-bomb"), packed, headers={"content-encoding": "gzip"}).status == 202
    yield row(f"an append of {len(packed) >> 10} KB that inflates to 32 MB", lines(), 2)
    assert put_events(_days(1000), "dear").json["accepted"] == 1000
    yield row("1,000 events on 1,000 days", lines(), 2)

    logs = LIST_MAX if LONG else 20
    for number in range(3, logs):
        append(a_build(f"cost-{number}"), b"")
    assert len(call("list_logs", _listing(LIST_MAX)).json["logs"]) == logs
    line = lines()
    line["used"]["read_units"] = LIST_MAX + LIST_MAX * 100 / 4096 / 2  # of their heads, and of the index
    line["bytes_out"] = round(line["bytes_out"] * LIST_MAX / logs, -5)
    line["used"]["write_units"] = _LIMITER
    yield row("a list of 1,000 logs", line, 1)

    log_store(PROJECT).append(LogId.parse(a_build("cost-large")), lambda: iter((os.urandom(ANSWER_MAX - 5000),)), 0)
    assert read(a_build("cost-large"), **{"accept-encoding": "gzip"}).status == 200
    yield row("an answer of 4 MB", lines(), 1)
    used = {"calls": {"PutObject": 3, "GetObject": 3}, "read_units": 10.0, "write_units": 0.0}
    line |= {"function": "read_log", "units": 1, "used": used, "bytes_linked": 5_000_000_000, "bytes_out": 1500}
    yield row("a link to a file of 5 GB", line, 1)
    append(f"cluster/{CLUSTER}/css-logs-ess-esn-1-1/instance", text.encode())
    assert send("search_logs").status == 200
    line = lines()
    line["used"] |= {"calls": {"GetObject": 64}, "read_units": 200.0, "write_units": _LIMITER}
    yield row("a search of 64 MB", {**line, "bytes_out": 1_000_000}, 10)
    assert call("read_log", log_request("read_log", a_build("cost-a"), "follow=true")).status == 200
    line = lines()
    line["used"]["write_units"] = _LIMITER
    yield row("a follow of 25 s", line, 25)
    yield row("a stream of 10 minutes", line, 600)


def _listing(limit: int) -> Line:
    return {**log_request("list_logs", "", f"limit={limit}"), "rawPath": f"/v1/{PROJECT}/logs"}


@pytest.mark.no_faults("prices requests by all that they used")
def test_the_table_of_what_requests_cost_is_true(lines, root: Path) -> None:
    page = (root / "docs" / "credentials-and-limits.md").read_text()
    rows = list(measured(lines))
    print("\n".join(rows))
    assert [each for each in rows if each not in page] == []


@pytest.mark.no_faults("counts requests; one whose answer is lost counts twice")
def test_a_costly_request_beyond_the_limit_is_refused_before_it_writes(aws, monkeypatch) -> None:
    monkeypatch.setenv("PROJECT_BURST", "10")
    monkeypatch.setenv("PROJECT_RATE", "0.5")
    forget_aws()
    for key in ("first", "second"):  # of which the first empties the bucket
        assert put_events(_days(60), "dear", key).status == 200
    for send_costly in (partial(put_events, _days(60), "dear", "third"), partial(call, "list_logs", _listing(1000))):
        with counted() as counts:
            refused = send_costly()
        assert (refused.status, 1 <= int(refused.headers["Retry-After"]) <= 20) == (429, True)
        assert counts.keys() <= {"UpdateItem", "GetItem"}, "neither wrote nor read"
    assert list_events("dear").status == 429, "and a cheap one waits, too"


DAY_SECONDS: Final = 86_400
STRANGER: Final = {"gb_seconds": 0.010 * 0.5, "read_units": 0.5, "logged": 700, "sent": 600}  # of one request
WRONG_LOGIN: Final = {"gb_seconds": 0.5 * 1769 / 1024, "read_units": 2, "write_units": 3, "logged": 700, "sent": 600}


def unproved(*, gateway: bool, **use: float) -> float:
    """Dollars for a request that nobody is charged for."""
    return (
        gateway * prices.API_REQUEST
        + prices.LAMBDA_REQUEST
        + use["gb_seconds"] * prices.LAMBDA_GB_SECOND
        + use["read_units"] * prices.READ_UNIT
        + use.get("write_units", 0) * prices.WRITE_UNIT
        + use["logged"] / prices.GB * prices.LOG_GB
        + use["sent"] / prices.GB * prices.GB_OUT
    )


@pytest.mark.unit
def test_what_strangers_can_cost_is_as_security_says(root: Path) -> None:
    page = (root / "SECURITY.md").read_text()
    declared = Template.load()
    (api,) = declared.resources("AWS::Serverless::HttpApi").values()
    rate = api["DefaultRouteSettings"]["ThrottlingRateLimit"]
    logins = api["RouteSettings"]["POST /v3/auth/tokens"]["ThrottlingRateLimit"]
    streaming = sum(each.streams for each in declared.functions.values())
    for taken, each in (
        (rate, unproved(gateway=True, **STRANGER)),
        (logins, unproved(gateway=True, **WRONG_LOGIN)),
        (10 * 1000, unproved(gateway=False, **STRANGER)),
        (10 * 50 * streaming, unproved(gateway=False, **STRANGER)),
        (int(declared.parameters["ProjectRate"]), UNIT / MILLIONTHS),
    ):
        assert re.search(rf"\| {taken:,}( units)? a second \| \${taken * each * DAY_SECONDS:,.0f} \|", page)
    with_bodies = rate * (unproved(gateway=True, **STRANGER) + 8 * prices.API_REQUEST) * DAY_SECONDS
    assert f"${with_bodies:,.0f}" in page
