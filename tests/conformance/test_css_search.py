"""CSS's published client, unchanged and signing: searching a cluster's log, page by page."""

from typing import Any

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcss.v1 import CssClient, GetLogBackupReq, ShowLogBackupRequest

from tests.conformance.clients import IGNORED, client
from tests.local.service import Service

pytestmark = IGNORED


@pytest.fixture
def css(service: Service) -> Any:
    return client(service, CssClient)


def search(css: Any, service: Service, cluster_id: str | None = None, **fields: Any) -> Any:
    named = {"instance_name": service.demo["instance_name"], "log_type": "instance"}
    body = GetLogBackupReq(**named | fields)
    return css.show_log_backup(ShowLogBackupRequest(cluster_id=cluster_id or service.demo["cluster_id"], body=body))


def test_the_newest_record_comes_first_and_has_all_fields(css: Any, service: Service) -> None:
    answer = search(css, service, level="ERROR")
    assert (answer.status_code, answer.type, answer.completed) == (200, "instance", True)
    (found,) = answer.log_list
    assert found.level == "ERROR"
    assert found.content.startswith(f"[{found.date}][ERROR][o.e.x.m.e.l.LocalExporter]")
    assert "SocketTimeoutException" in found.content


def test_pages_by_date_are_the_whole_log(css: Any, service: Service) -> None:
    whole = search(css, service)
    assert (len(whole.log_list), whole.completed) == (83, True)
    found: list[Any] = []
    time_index = None
    for _ in range(20):
        page = search(css, service, limit=10, time_index=time_index)
        found += page.log_list
        if page.completed:
            break
        time_index = page.log_list[-1].date
    assert [each.content for each in found] == [each.content for each in whole.log_list]


def test_a_keyword_and_levels_select(css: Any, service: Service) -> None:
    assert [each.level for each in search(css, service, level="WARN|ERROR").log_list] == ["ERROR", "WARN"]
    (found,) = search(css, service, keyword="[logs-79]").log_list
    assert "adding template [logs-79]" in found.content
    assert len(search(css, service, log_type="searchSlow", level="WARN").log_list) == 80


def test_a_node_without_a_log_has_no_records(css: Any, service: Service) -> None:
    answer = search(css, service, instance_name="css-logs-ess-esn-9-1")
    assert (answer.log_list, answer.completed) == ([], True)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [({"level": "ALL|ERROR"}, 400, "CSS.0001"), ({"limit": 10_001}, 400, "CSS.0001"),
     ({"cluster_id": "nobody"}, 404, "CSS.3027")],
)  # fmt: skip
def test_errors_are_css_s(css: Any, service: Service, fields: dict[str, Any], status: int, code: str) -> None:
    with pytest.raises(ClientRequestException) as caught:
        search(css, service, **fields)
    assert (caught.value.status_code, caught.value.error_code) == (status, code)
