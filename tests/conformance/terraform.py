"""What huaweicloud/terraform-provider-huaweicloud sends for its CSS log resources, and how it judges the answers.

Read in its source, commit a0345b8dcc818aa80d932ec0802891222b0a22af, huaweicloud/services/css: resource log_setting,
resource manual_log_backup, data sources log_backup_records and cluster_logs. Its client is chnsz/golangsdk, commit
83ad1d270e52a3a4ff67b7b2cf267b9d1377950c.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx

OK: Final = {"GET": {200}, "POST": {200, 201, 202}, "PUT": {200, 201, 202}}  # golangsdk, defaultOkCodes
PAGES_MAX: Final = 1000  # golangsdk, pagination.MaxPager
REAL_TIME: Final = "real_time_log_collect"
BASE: Final = "base_log_collect"


class Failed(Exception):
    """An answer that ends `terraform apply` with an error."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status} {body}")
        self.status, self.body = status, body


class Gone(Exception):
    """An answer by which the provider forgets a resource, or counts it as destroyed."""


class Provider:
    """A configured provider: endpoint, access key and project."""

    def __init__(self, http: httpx.Client, access_key: str, secret: str, project: str) -> None:
        self.sent: list[str] = []
        self._http, self._access_key, self._secret, self._project = http, access_key, secret, project

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """The parsed answer; None if it is empty. Raises Gone for a 404, Failed for any other status that is not OK."""
        content = b"" if body is None else json.dumps(body, separators=(",", ":"), sort_keys=True).encode() + b"\n"
        headers = self._signed(method, path, content, {"Accept": "application/json", "Content-Type": content_type})
        self.sent.append(f"{method} {path.partition('/logs/')[2] or path}")
        answer = self._http.request(method, path, content=content, headers=headers)
        if answer.status_code == 404:
            raise Gone
        if answer.status_code not in OK[method]:
            raise Failed(answer.status_code, answer.json())
        return answer.json() if answer.content else None

    def cluster(self, method: str, cluster: str, rest: str, body: Any = None) -> Any:
        return self.request(method, f"/v1.0/{self._project}/clusters/{cluster}/logs/{rest}", body)

    def project_named(self, name: str) -> str:
        """golangsdk, getProjectID: what a provider without a project id asks first."""
        (project,) = self.request("GET", f"/v3/projects?{urlencode({'name': name})}")["projects"]
        return str(project["id"])

    def _signed(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> dict[str, str]:
        """golangsdk, auth/core/signer: every header that is set so far, so neither host nor X-Project-Id."""
        date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        signed = {**headers, "User-Agent": "terraform-provider-huaweicloud golangsdk/2.0.0", "X-Sdk-Date": date}
        lines = {name.lower(): value for name, value in sorted(signed.items(), key=lambda each: each[0].lower())}
        names = ";".join(lines)
        bare, _, query = path.partition("?")
        canonical = "\n".join(
            (
                method,
                "/".join(quote(segment, safe="~") for segment in bare.split("/")) + "/",
                "&".join(sorted(query.split("&"))),
                "".join(f"{name}:{value}\n" for name, value in lines.items()),
                names,
                hashlib.sha256(content).hexdigest(),
            )
        )
        text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(self._secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        proof = f"SDK-HMAC-SHA256 Access={self._access_key}, SignedHeaders={names}, Signature={signature}"
        return {**signed, "Authorization": proof, "X-Project-Id": self._project}


class LogSetting:
    """Resource huaweicloud_css_log_setting. A configuration or state holds its arguments; absent ones are empty."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def create(self, config: dict[str, Any]) -> dict[str, Any] | None:
        cluster = config["cluster_id"]
        if config.get("action", BASE) == REAL_TIME:
            self._connect(cluster, config)
            self.provider.cluster("POST", cluster, f"open?action={REAL_TIME}", _ingestion(config))
            self._wait(cluster, lambda setting: bool(setting) and setting["status"] == "200")
        else:
            self.provider.cluster("POST", cluster, "open", _backup(config))
            if config.get("period"):
                self.provider.cluster("POST", cluster, "policy/update", {"period": config["period"]})
        return self.read(config)

    def read(self, state: dict[str, Any]) -> dict[str, Any] | None:
        """The new state; None if the resource is forgotten."""
        cluster, action = state["cluster_id"], state.get("action", BASE)
        try:
            if action == REAL_TIME:
                found = self._ingestion_setting(cluster)
                return found and {
                    "cluster_id": cluster,
                    "action": action,
                    "index_prefix": found["indexPrefix"],
                    "keep_days": int(found["keepDays"]),
                    "target_cluster_id": found["targetClusterId"],
                    "status": _text(found["status"]),
                    "log_ingestion_create_at": _time(found["createAt"]),
                    "log_ingestion_update_at": _time(found["updateAt"]),
                }
            found = self.provider.cluster("GET", cluster, "settings")["logConfiguration"] or {}
        except Gone:
            return None
        except Failed as error:
            _check(error, 403, "CSS.0015")
            return None
        if not found.get("logSwitch", False):
            return None
        automatic = found["autoEnable"]
        assert isinstance(automatic, bool)
        return {
            "cluster_id": cluster,
            "action": action,
            "agency": found["agency"],
            "base_path": found["basePath"],
            "bucket": found["obsBucket"],
            "updated_at": _time(found["updateAt"]),
            "auto_enabled": automatic,
            "period": _text(found["period"]) if automatic else "",
            "log_switch": True,
        }

    def update(self, state: dict[str, Any], config: dict[str, Any]) -> dict[str, Any] | None:
        cluster = config["cluster_id"]

        def changes(*names: str) -> bool:
            return any((state.get(name) or "") != (config.get(name) or "") for name in names)

        if config.get("action", BASE) == REAL_TIME:
            if changes("index_prefix", "keep_days", "target_cluster_id"):
                if changes("target_cluster_id"):
                    self._connect(cluster, config)
                self.provider.cluster("POST", cluster, f"settings?action={REAL_TIME}", _ingestion(config))
                self._wait(cluster, lambda setting: bool(setting) and setting["status"] == "200")
            return self.read(config)
        if changes("agency", "base_path", "bucket"):
            self.provider.cluster("POST", cluster, "settings", _backup(config))
        if changes("period"):
            if config.get("period"):
                self.provider.cluster("POST", cluster, "policy/update", {"period": config["period"]})
            else:
                self.provider.cluster("PUT", cluster, "policy/close")
        return self.read(config)

    def delete(self, state: dict[str, Any]) -> bool:
        """Whether there was something to destroy. Raises Failed if `terraform destroy` ends with an error."""
        cluster = state["cluster_id"]
        try:
            if state.get("action", BASE) == REAL_TIME:
                self.provider.cluster("PUT", cluster, f"close?action={REAL_TIME}")
                self._wait(cluster, lambda setting: setting is None)
            else:
                self.provider.cluster("PUT", cluster, "close")
        except Gone:
            return False
        except Failed as error:
            _check(error, *((403, "CSS.0015") if error.status == 403 else (415, "CSS.0004")))
            return False
        return True

    def imported(self, id: str) -> dict[str, Any] | None:
        cluster, _, action = id.partition("/")
        return self.read({"cluster_id": cluster, "action": action or BASE})

    def _connect(self, cluster: str, config: dict[str, Any]) -> None:
        if config["target_cluster_id"] != cluster:
            self.provider.cluster("POST", cluster, "connectivity", {"target_cluster_id": config["target_cluster_id"]})

    def _ingestion_setting(self, cluster: str) -> Any:
        return self.provider.cluster("GET", cluster, f"settings?action={REAL_TIME}")["realTimeLogCollectRecord"]

    def _wait(self, cluster: str, holds: Callable[[Any], bool]) -> None:
        """The provider asks every five seconds, for ten minutes. Ours holds at once."""
        assert holds(self._ingestion_setting(cluster))


class ManualBackup:
    """Resource huaweicloud_css_manual_log_backup."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def create(self, cluster: str) -> str:
        """The id of the job. Raises Gone if no record runs, which ends `terraform apply` with an error."""
        setting = self.provider.cluster("GET", cluster, "settings")["logConfiguration"]
        assert setting["logSwitch"] is True
        self.provider.cluster("POST", cluster, "collect")
        return _text(self._job(cluster, lambda record: record["status"] == "RUNNING")["jobId"])

    def read(self, cluster: str, job: str) -> dict[str, Any]:
        """Raises Gone if there is no such job."""
        return self._job(cluster, lambda record: record["jobId"] == job)

    def _job(self, cluster: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        start = 1
        while True:
            records = self.provider.cluster("GET", cluster, f"records?limit=10&start={start}")["clusterLogRecord"]
            for record in records:
                if wanted(record):
                    return dict(record)
            if len(records) < 10:
                raise Gone
            start += len(records)


def backup_records(provider: Provider, cluster: str, **where: str) -> list[dict[str, Any]]:
    """Data source huaweicloud_css_log_backup_records, with its filters `jobId`, `jobTypes` and `status`."""
    found = list(_pages(provider, cluster))
    return [each for each in found if all(each[name] == value for name, value in where.items())]


def cluster_logs(provider: Provider, cluster: str, **fields: Any) -> dict[str, Any]:
    """Data source huaweicloud_css_cluster_logs."""
    path = f"/v1.0/{provider._project}/clusters/{cluster}/logs/search"
    return dict(provider.request("POST", path, fields, "application/json;charset=UTF-8"))


def _pages(provider: Provider, cluster: str) -> Iterator[dict[str, Any]]:
    """golangsdk, pagination.EachPage: until a page is empty."""
    for page in range(PAGES_MAX):
        found = provider.cluster("GET", cluster, f"records?limit=10&start={1 + 10 * page}")["clusterLogRecord"]
        if not found:
            return
        yield from found
    raise AssertionError("the provider gives up: A timeout occurred")


def _backup(config: dict[str, Any]) -> dict[str, str]:
    return {
        "agency": config.get("agency", ""),
        "logBasePath": config.get("base_path", ""),
        "logBucket": config.get("bucket", ""),
    }


def _ingestion(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "index_prefix": config.get("index_prefix", ""),
        "keep_days": config.get("keep_days", 0),
        "target_cluster_id": config.get("target_cluster_id", ""),
    }


def _check(error: Failed, status: int, code: str) -> None:
    """Raise the error unless the resource is gone by it.

    common.ConvertExpected403ErrInto404Err and ConvertUndefinedErrInto404Err: the code is looked for in errCode.
    """
    if (error.status, error.body.get("errCode")) != (status, code):
        raise error


def _text(value: Any) -> str:
    """A Go type assertion: a panic for anything else."""
    assert isinstance(value, str)
    return value


def _time(value: Any) -> str:
    """utils.FormatTimeStampRFC3339 of a JSON number in milliseconds."""
    assert isinstance(value, int | float)
    return datetime.fromtimestamp(value // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
