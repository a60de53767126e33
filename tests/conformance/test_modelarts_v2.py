"""The published ModelArts client's own method for service events, unchanged, against the running service."""

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkmodelarts.v1 import (
    ListInferServiceEventsRequest,
    ListInferServiceEventsResponse,
    ModelArtsClient,
    ServiceEventResponse,
)

from tests.local.service import Service


@pytest.fixture
def client(service: Service) -> ModelArtsClient:
    """With X-Auth-Token and no signature."""
    credentials = BasicCredentials("unused", "unused", service.demo["project_id"])
    builder = ModelArtsClient.new_builder().with_http_config(HttpConfig(timeout=(5, 60)))
    made: ModelArtsClient = builder.with_credentials(credentials).with_endpoint(service.demo["endpoint"]).build()
    made.preset_headers |= {"X-Auth-Token": service.demo["token"], "Authorization": None}
    return made


@pytest.fixture
def listed(client: ModelArtsClient, service: Service):
    def call(**query) -> ListInferServiceEventsResponse:
        wanted = ListInferServiceEventsRequest(service_id=service.demo["service_id"], **query)
        return client.list_infer_service_events(wanted)

    return call


def test_without_parameters_the_ten_newest_come(listed) -> None:
    found = listed()
    assert (found.current, found.size, len(found.data)) == (0, 10, 10)
    assert found.pages == -(-found.total // 10) > 1
    assert found.status_code == 200
    times = [each.update_at for each in found.data]
    assert times == sorted(times, reverse=True)


def test_every_field_has_its_published_type(listed, service) -> None:
    found = listed(limit=500).data
    assert found
    for each in found:
        assert isinstance(each, ServiceEventResponse)
        assert each.service_id == service.demo["service_id"]
        assert each.event_type in {"NORMAL", "ABNORMAL"}
        assert (each.event_count, each.service_version_id, each.event_info_cn) == (1, None, None)
        assert (type(each.id), type(each.event_info), type(each.create_at)) == (str, str, int)
        assert each.create_at == each.update_at


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_pages_in_a_row_give_every_event_once(listed, direction: str) -> None:
    first = listed(limit=50, sort_dir=direction, sort_key="create_at,update_at")
    ids = [each.id for each in first.data]
    for page in range(1, first.pages):
        found = listed(limit=50, offset=page * 50, sort_dir=direction, sort_key="create_at")
        assert (found.current, found.total) == (page, first.total)
        ids += [each.id for each in found.data]
    assert len(ids) == len(set(ids)) == first.total


def test_type_time_and_keyword_select(listed) -> None:
    everything = [each for page in range(2) for each in listed(limit=500, offset=500 * page).data]
    middle = everything[len(everything) // 2].create_at
    expected = [
        each.id
        for each in everything
        if each.create_at >= middle and each.event_type == "ABNORMAL" and "重试中" in each.event_info
    ]
    found = listed(limit=500, event_type="ABNORMAL", start_time=middle, end_time=None, event_info_key="重试中")
    assert [each.id for each in found.data] == expected != []
    assert found.total == len(expected)
    assert listed(event_type="WARNING").total == 0


def test_a_refusal_names_the_field(listed) -> None:
    for query in ({"offset": 5}, {"limit": 501}, {"event_info_key": "100%"}, {"sort_key": "event_type"}):
        with pytest.raises(ClientRequestException) as caught:
            listed(**query)
        assert (caught.value.status_code, caught.value.error_code) == (400, "ModelArts.0104")
        assert f"{next(iter(query))}: " in caught.value.error_msg
        assert caught.value.request_id


def test_an_unknown_service_is_told_by_its_code(client) -> None:
    with pytest.raises(ClientRequestException) as caught:
        client.list_infer_service_events(ListInferServiceEventsRequest(service_id="nobody"))
    assert (caught.value.status_code, caught.value.error_code) == (404, "ModelArts.3502")
