"""CSS's published client, unchanged and signing: a cluster's backups from being switched on to being closed."""

from typing import Any

import pytest
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcss.v1 import (
    CreateLogBackupRequest,
    CssClient,
    ListLogsJobRequest,
    ShowGetLogSettingRequest,
    StartLogAutoBackupPolicyReq,
    StartLogAutoBackupPolicyRequest,
    StartLogsReq,
    StartLogsRequest,
    StartTargetClusterConnectivityTestReq,
    StartTargetClusterConnectivityTestRequest,
    StopLogAutoBackupPolicyRequest,
    StopLogsRequest,
    UpdateLogSettingReq,
    UpdateLogSettingRequest,
)

from local.emulator import BUCKET
from tests.conformance.clients import IGNORED, client
from tests.local.service import Service, eventually

pytestmark = IGNORED
CLUSTER = "a-cluster-of-the-sdk"
PERIOD = "00:00 GMT+08:00"


@pytest.fixture
def css(service: Service) -> Any:
    return client(service, CssClient)


def start(css: Any, action: str | None = None, **fields: Any) -> Any:
    return css.start_logs(StartLogsRequest(cluster_id=CLUSTER, action=action, body=StartLogsReq(**fields)))


@pytest.fixture
def opened(css: Any, service: Service) -> None:
    with service.client() as http:
        url = f"/v1/{service.demo['project_id']}/logs/cluster/{CLUSTER}/node-1/instance"
        sent = http.patch(url, content=b"INFO a line\n", headers={"Content-Type": "application/octet-stream"})
        assert sent.status_code == 202
    assert start(css, agency="css_obs_agency", log_base_path="css/log", log_bucket=BUCKET).status_code == 200


def shown(css: Any) -> Any:
    return css.show_get_log_setting(ShowGetLogSettingRequest(cluster_id=CLUSTER))


def test_backups_are_switched_on_shown_changed_and_switched_off(css: Any, opened: None) -> None:
    configuration = shown(css).log_configuration
    assert (configuration.cluster_id, configuration.obs_bucket) == (CLUSTER, BUCKET)
    assert (configuration.log_switch, configuration.auto_enable, configuration.period) == (True, False, None)
    assert isinstance(configuration.update_at, int)

    body = UpdateLogSettingReq(
        agency="another", log_base_path="css/daily", log_bucket=BUCKET, auto_enable=True, period=PERIOD
    )
    assert css.update_log_setting(UpdateLogSettingRequest(cluster_id=CLUSTER, body=body)).status_code == 200
    configuration = shown(css).log_configuration
    assert (configuration.agency, configuration.base_path) == ("another", "css/daily")
    assert (configuration.auto_enable, configuration.period) == (True, PERIOD)

    assert css.stop_logs(StopLogsRequest(cluster_id=CLUSTER)).status_code == 200
    assert shown(css).log_configuration.log_switch is False
    with pytest.raises(ClientRequestException) as caught:
        css.create_log_backup(CreateLogBackupRequest(cluster_id=CLUSTER))
    assert (caught.value.status_code, caught.value.error_code) == (412, "CSS.5090")


def test_settings_show_what_the_client_knows_beside_the_services(css: Any, opened: None, service: Service) -> None:
    with service.client() as http:
        url = f"/v1.0/{service.demo['project_id']}/clusters/{CLUSTER}/logs/settings"
        assert http.post(url, json={"services": ["a-service"]}).status_code == 200
        assert http.get(url).json()["logConfiguration"]["services"] == ["a-service"]
        configuration = shown(css).log_configuration
        assert (configuration.cluster_id, configuration.log_switch) == (CLUSTER, True)
        assert not hasattr(configuration, "services")
        assert http.post(url, json={"services": []}).status_code == 200


def test_a_backup_by_hand_succeeds(css: Any, opened: None) -> None:
    assert css.create_log_backup(CreateLogBackupRequest(cluster_id=CLUSTER)).status_code == 200

    def newest() -> Any:
        return css.list_logs_job(ListLogsJobRequest(cluster_id=CLUSTER, limit=1)).cluster_log_record[0]

    assert eventually(lambda: newest().status != "RUNNING", 30)
    record = newest()
    assert (record.status, record.job_types, record.failed_msg) == ("SUCCESS", "Manual", None)
    assert isinstance(record.finished_at, int)


def test_the_policy_is_set_and_closed(css: Any, opened: None) -> None:
    body = StartLogAutoBackupPolicyReq(period=PERIOD)
    request = StartLogAutoBackupPolicyRequest(cluster_id=CLUSTER, body=body)
    assert css.start_log_auto_backup_policy(request).status_code == 200
    assert shown(css).log_configuration.period == PERIOD
    assert css.stop_log_auto_backup_policy(StopLogAutoBackupPolicyRequest(cluster_id=CLUSTER)).status_code == 200
    assert shown(css).log_configuration.auto_enable is False


def test_a_real_time_collection_is_switched_on_shown_and_changed(css: Any, opened: None) -> None:
    real_time = {"index_prefix": "css-logs", "keep_days": 30, "target_cluster_id": CLUSTER}
    assert start(css, "real_time_log_collect", **real_time).status_code == 200
    record = shown(css).real_time_log_collect_record
    assert (record.index_prefix, record.keep_days, record.target_cluster_id) == ("css-logs", 30, CLUSTER)
    assert record.status == "200"
    body = UpdateLogSettingReq(keep_days=7)
    css.update_log_setting(UpdateLogSettingRequest(cluster_id=CLUSTER, body=body))
    assert shown(css).real_time_log_collect_record.keep_days == 7


def test_connectivity_is_whether_the_target_exists(css: Any, opened: None) -> None:
    def attempt(target: str) -> Any:
        body = StartTargetClusterConnectivityTestReq(target_cluster_id=target)
        request = StartTargetClusterConnectivityTestRequest(cluster_id=CLUSTER, body=body)
        return css.start_target_cluster_connectivity_test(request)

    assert attempt(CLUSTER).status_code == 200
    with pytest.raises(ClientRequestException) as caught:
        attempt("nobody")
    assert (caught.value.status_code, caught.value.error_code) == (404, "CSS.3027")


def test_another_bucket_is_refused(css: Any) -> None:
    with pytest.raises(ClientRequestException) as caught:
        start(css, agency="a", log_base_path="css/log", log_bucket="somebody-elses")
    assert (caught.value.status_code, caught.value.error_code) == (400, "CSS.0048")
