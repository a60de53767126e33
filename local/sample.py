"""The sample data of the local service, written through the layer's stores.

All of it depends on one time, that of the first start, which is read back from the first log. So writing it again
changes nothing.
"""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from logkeep.backups.lease_store import Leases
from logkeep.backups.records import BackupRecord, Status
from logkeep.backups.runs import backup_runs
from logkeep.backups.settings import SettingsChange
from logkeep.backups.store import backup_store
from logkeep.clock import DAY, HOUR, MINUTE, now_ms
from logkeep.errors import BackupInProgress, LogNotFound
from logkeep.events.segments import Event, EventBatch, EventType
from logkeep.events.store import event_store
from logkeep.identity.credential_store import credential_store
from logkeep.identity.credentials import Credential, Kind, Scope, access_key_place, token_place, user_id, user_place
from logkeep.identity.passwords import hash_password
from logkeep.logid import LogId
from logkeep.logs.head import Totals
from logkeep.logs.registration import Registration
from logkeep.logs.store import LogStore, log_store

PROJECT: Final = "0f5f3d6c1b6a4d5a8f4e1a2b3c4d5e6f"
OTHER_PROJECT: Final = "f" * 32
# Everyone knows these, so they are only for a service on loopback.
TOKEN: Final = "logkeep-demo-token"  # noqa: S105 - of the local service only
KUSCIA_TOKEN: Final = "logkeep-demo-kuscia-token-000001"  # noqa: S105 - of the local service only
OTHER_TOKEN: Final = "logkeep-other-token"  # noqa: S105 - of the local service only
AK: Final = "LOGKEEPDEMO000000001"
SK: Final = "logkeep-demo-secret-access-key-00000001"
USER: Final = "demo"
PASSWORD: Final = "logkeep-demo-password"  # noqa: S105 - of the local service only

SERVICE: Final = "35de3ca9-1bca-4ae7-9cb0-914f30fa7d3e"
SERVICE_NAME: Final = "zcjtest-07085"
RECORD: Final = "5c77b71c-5b35-4f50-8984-76387e42451a"
JOB: Final = "b59137c75cc44d0b8e1f2ee58b0fdc1f"
BUILD_NO: Final = 27
TASK: Final = "secretflow-task-20241101160338-single-psi"
SINGLE_TASK: Final = "secretflow-task-20241104091512-report"
CONTAINER: Final = "secretflow"
CHECK_TASK: Final = "2b31ed520000000ebedb6e5700000000"
EXECUTION: Final = "c4d91f3a7be04f0c9a6e21d85b3f7710"
SUB_JOBS: Final = [f"a777ff00d3cf4d369d87066806ae{number:04d}" for number in (1, 2, 3)]
CLUSTER: Final = "4213d908-f5dc-4633-8401-cfd7175fca0c"
INSTANCE: Final = "css-logs-ess-esn-1-1"
LOG_PATH: Final = "css-backup-1610678043608/css/log"
BACKUP: Final = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{CLUSTER} archive"))

_AGE_SECONDS: Final = 7200  # by which the sample begins in the past, so that nothing in it is in the future
_EVENT_DAYS: Final = 6
_BACKUP_DAYS: Final = 22
_BACKUP_SECONDS: Final = 120  # for the worker of the backup
# The registration of the logs of a kind.
_REGISTERED: Final = {
    "build": Registration(JOB, str(BUILD_NO)),
    "check": Registration(CHECK_TASK, EXECUTION),
}
_FIRST_LOG: Final = LogId.parse(f"build/{RECORD}/stage1")
_MODULES: Final = ["core", "store", "gateway", "client", "dist"]
_TRACE: Final = """\
java.net.SocketTimeoutException: Read timed out
\tat java.base/sun.nio.ch.NioSocketImpl.timedRead(NioSocketImpl.java:283)
\tat java.base/java.net.Socket$SocketInputStream.read(Socket.java:966)
\tat org.apache.http.impl.io.SessionInputBufferImpl.fillBuffer(SessionInputBufferImpl.java:153)
\tat org.eclipse.aether.transport.http.HttpTransporter.execute(HttpTransporter.java:341)
\tat org.eclipse.aether.connector.basic.BasicRepositoryConnector.get(BasicRepositoryConnector.java:467)
Caused by: java.io.IOException: connection reset by peer
\t... 14 more
"""


def write_sample(kms_key: str) -> None:
    """Write the sample data that is missing. `kms_key` encrypts the access key's secret."""
    write_credentials(kms_key)
    logs = log_store(PROJECT)
    try:
        since = logs.head(_FIRST_LOG).first_time or 0
    except LogNotFound:
        since = (time.time_ns() // 10**9 - _AGE_SECONDS) * 1000
    for log_id, text, sealed in _logs(since):
        _append(logs, LogId.parse(log_id), text.encode())
        if sealed:
            logs.seal(LogId.parse(log_id), Totals(bytes=len(text.encode())))
    events = event_store(PROJECT, SERVICE)
    for batch in _event_batches(since):
        events.put(batch, salt="sample")
    backups = backup_store(PROJECT, CLUSTER)
    for record in _backups(since):
        backups.put(record)
    if not backups.cluster(logs).settings_id:
        backups.open(SettingsChange(agency="css_obs_agency", base_path=LOG_PATH), since)
    _back_up(logs, since - 2 * HOUR)


def demo(endpoint: str) -> dict[str, Any]:
    """The ids and credentials that a client needs to try every API: the content of .local/demo.json."""
    return {
        "endpoint": endpoint,
        "project_id": PROJECT,
        "ak": AK,
        "sk": SK,
        "user": USER,
        "password": PASSWORD,
        "token": TOKEN,
        "kuscia_token": KUSCIA_TOKEN,
        "other_project_id": OTHER_PROJECT,
        "other_token": OTHER_TOKEN,
        "service_id": SERVICE,
        "record_id": RECORD,
        "task_name": "stage1",
        "task_id": TASK,
        "container": CONTAINER,
        "sub_job_ids": SUB_JOBS,
        "cluster_id": CLUSTER,
        "backup_id": BACKUP,
        "instance_name": INSTANCE,
        "job_id": JOB,
        "build_no": BUILD_NO,
        "check_task_id": CHECK_TASK,
        "execute_id": EXECUTION,
    }


def write_credentials(kms_key: str) -> None:
    """Write the credentials that are missing.

    Existing ones stay as they are: a new hash of the password would differ, and a disabled credential stays disabled.
    """
    store = credential_store()
    for project, kind, token in (
        (PROJECT, Kind.TOKEN, TOKEN),
        (PROJECT, Kind.KUSCIA_TOKEN, KUSCIA_TOKEN),
        (OTHER_PROJECT, Kind.TOKEN, OTHER_TOKEN),
    ):
        if store.at(token_place(kind, token)) is None:
            name = USER if project == PROJECT else "other"
            store.put(token_place(kind, token), _credential(project, f"{kind}-{name}", kind))
    if store.at(access_key_place(AK)) is None:
        store.put_access_key(_credential(PROJECT, AK, Kind.ACCESS_KEY), SK, kms_key)
    if not list(store.user(user_id(USER))):
        user = _credential(PROJECT, f"{Kind.USER}-{USER}", Kind.USER, secret=hash_password(PASSWORD).encode())
        store.put(user_place(user_id(USER), 1), user)


def _credential(project: str, id: str, kind: Kind, secret: bytes | None = None) -> Credential:
    every = frozenset(map(str, Scope))
    return Credential(id=id, kind=kind, name=USER, project=project, scopes=every, secret=secret)


def _append(logs: LogStore, log_id: LogId, text: bytes) -> None:
    """Append a text as a shipper does, in pieces that do not end with a line."""
    chance = random.Random(str(log_id))  # noqa: S311 - the same cuts every time
    offset, registration = 0, _REGISTERED.get(log_id.kind)
    while offset < len(text):
        piece = text[offset : offset + chance.randint(len(text) // 6 + 1, len(text) // 3 + 1)]
        logs.append(log_id, partial(iter, (piece,)), offset, registration)
        offset += len(piece)


@dataclass
class _Clock:
    """A clock that advances with every line."""

    now: int  # epoch ms
    chance: random.Random

    def stamp(self, form: str = "%Y-%m-%d %H:%M:%S,{ms:03d}") -> str:
        text = datetime.fromtimestamp(self.now // 1000, UTC).strftime(form).format(ms=self.now % 1000)
        self.now += self.chance.randint(3, 900)
        return text


def _clock(since: int, name: str) -> _Clock:
    return _Clock(since, random.Random(name))  # noqa: S311 - the same text every time


def _logs(since: int) -> Iterator[tuple[str, str, bool]]:
    """The id and text of every log, and whether it is sealed. The first one begins at `since`, epoch ms."""
    for stage, text in (("stage1", _compile(since)), ("stage2", _test(since)), ("stage3", _upload(since))):
        yield f"build/{RECORD}/{stage}", text, True
    for replica in (0, 1):
        yield f"task/{TASK}/{replica}/{CONTAINER}/0", _psi(since, replica, fails=replica == 0), True
        yield f"task/{TASK}/{replica}/sidecar/0", _sidecar(since, replica), True
    yield f"task/{TASK}/0/{CONTAINER}/1", _psi(since + 5 * MINUTE, 0, fails=False), False
    yield f"task/{SINGLE_TASK}/0/{CONTAINER}/0", _psi(since - DAY, 0, fails=False), True
    for sub_job in SUB_JOBS[:2]:
        yield f"check/{sub_job}", _check(since, sub_job), True
    for name in ("kept", "old"):  # to be held, and to be deleted
        yield f"app/sample/{name}", _sidecar(since, 0), True
    for file in ("checkstyle.log", "fixbot.log", "pmd.log"):
        yield f"check/{SUB_JOBS[2]}/{file}", _check(since, file), True
    for node in (INSTANCE, INSTANCE.replace("1-1", "2-1")):
        for log_type in ("instance", "deprecation", "searchSlow", "indexingSlow"):
            yield f"cluster/{CLUSTER}/{node}/{log_type}", _opensearch(since, node, log_type), False


def _compile(since: int) -> str:
    clock = _clock(since, "stage1")
    lines = [f"{clock.stamp()} [main] INFO  Apache Maven 3.9.9 (8e8579a9e76f7d015ee5ec7bfcdc97d260186937)\n"]
    for module in _MODULES:
        lines.append(f"{clock.stamp()} [main] INFO  Building logkeep-{module} 1.4.2-SNAPSHOT\n")
        for number in range(12):
            artifact = f"com/example/{module}/lib-{number}/2.{number}.0/lib-{number}-2.{number}.0.jar"
            lines.append(f"{clock.stamp()} [main] DEBUG Resolving artifact {artifact} from [central, mirror]\n")
            if number % 5 == 3:
                lines.append(f"{clock.stamp()} [main] DEBUG The mirror failed for {artifact}, trying central\n")
                lines.append(_TRACE)
            lines.append(
                f"{clock.stamp()} [resolver-{number % 4}] INFO  Downloaded {artifact} ({number * 37 + 12} kB)\n"
            )
        lines.append(f"{clock.stamp()} [main] WARN  {module}: parameter 'source' is deprecated, use 'release'\n")
        lines.append(f"{clock.stamp()} [main] INFO  Compiling {clock.chance.randint(20, 90)} source files\n")
    lines.append(f"{clock.stamp()} [main] INFO  BUILD SUCCESS\n")
    return "".join(lines)


def _test(since: int) -> str:
    clock = _clock(since + 2 * MINUTE, "stage2")
    lines = [f"{clock.stamp()} [main] INFO   T E S T S\n"]
    for number in range(90):
        name = f"com.example.{_MODULES[number % 5]}.Case{number:02d}Test"
        lines.append(f"{clock.stamp()} [main] INFO  Running {name}\n")
        lines.append(f"{clock.stamp()} [worker-{number % 3}] DEBUG fixture ready in {number % 17} ms\n")
        if number == 41:
            lines.append(f"{clock.stamp()} [worker-2] ERROR {name}.readsBack: Zeitüberschreitung 超时\n{_TRACE}")
    lines.append(f"{clock.stamp()} [main] ERROR Tests run: 412, Failures: 0, Errors: 1, Skipped: 3\n")
    return "".join(lines)


def _upload(since: int) -> str:
    clock = _clock(since + 4 * MINUTE, "stage3")
    lines = [f"{clock.stamp()} [main] INFO  Uploading logkeep-{module}-1.4.2.jar\n" for module in _MODULES]
    return "".join(lines) + f"{clock.stamp()} [main] INFO  finished"  # without a last newline


def _psi(since: int, replica: int, *, fails: bool) -> str:
    clock = _clock(since, f"psi {replica} {fails}")
    form = "%Y-%m-%d %H:%M:%S.{ms:03d}"
    lines = [f"{clock.stamp(form)} [info] [main.py:main:180] party {('alice', 'bob')[replica]} starts {TASK}\n"]
    for bucket in range(120):
        count = clock.chance.randint(80_000, 120_000)
        lines.append(f"{clock.stamp(form)} [info] [ecdh_psi.cc:MaskSelf:121] bucket {bucket}: masked {count} items\n")
    if fails:
        lines.append(f"{clock.stamp(form)} [error] [channel.cc:Recv:418] Get data timeout, key=root:0-1:ALLGATHER\n")
        lines.append("Traceback (most recent call last):\n")
        lines.append('  File "/app/main.py", line 144, in main\n    res = comp_eval(sf_node_eval_param, storage)\n')
        lines.append("RuntimeError: what: [libspu/link] Get data timeout\n")
    else:
        lines.append(f"{clock.stamp(form)} [info] [main.py:main:229] PSI done, intersection 51230, 数据求交完成\n")
    return "".join(lines)


def _sidecar(since: int, replica: int) -> str:
    clock = _clock(since, f"sidecar {replica}")
    lines = [f"{clock.stamp()} INFO  envoy listens on 0.0.0.0:80, replica {replica}\n"]
    lines += [f'{clock.stamp()} DEBUG upstream=bob "POST /push HTTP/1.1" 200 {n * 7 % 31} ms\n' for n in range(40)]
    return "".join(lines)


def _check(since: int, name: str) -> str:
    clock = _clock(since - HOUR, name)
    lines = [f"{clock.stamp()} INFO  check task {CHECK_TASK}: {name} starts, rule set 'Java standard'\n"]
    for number in range(60):
        source = f"src/main/java/com/example/{_MODULES[number % 5]}/File{number}.java"
        level, text = (("INFO ", "no defects"), ("WARN ", "line 48: cyclomatic complexity is 17"))[number % 7 == 2]
        lines.append(f"{clock.stamp()} {level} {source}: {text}\n")
    return "".join([*lines, f"{clock.stamp()} INFO  finished: 9 defects\n"])


def _opensearch(since: int, node: str, log_type: str) -> str:
    clock = _clock(since - DAY, f"{node} {log_type}")
    logger, level, text = {
        "instance": (
            "o.e.c.m.MetadataIndexTemplateService",
            "INFO ",
            "adding template [logs-{n}] for index patterns [logs-*]",
        ),
        "deprecation": ("o.e.d.c.m.MetadataCreateIndexService", "WARN ", "index name [.tmp-{n}] starts with a dot"),
        "searchSlow": (
            "i.s.s.query",
            "WARN ",
            "[logs-{n}][0] took[{n}.2s], total_hits[{n}13 hits], types[]",
        ),
        "indexingSlow": ("i.i.s.index", "WARN ", "[logs-{n}/Qb7] took[1.{n}s], type[_doc], id[{n}], source[…]"),
    }[log_type]
    form = "[%Y-%m-%dT%H:%M:%S,{ms:03d}]"
    lines = [f"{clock.stamp(form)}[{level}][{logger}] [{node}] {text.format(n=n)}\n" for n in range(80)]
    if log_type == "instance":
        full = "high disk watermark [90%] exceeded on [/data], free: 9.1gb[9.1%]"
        lines.append(f"{clock.stamp(form)}[WARN ][o.e.c.r.a.DiskThresholdMonitor] [{node}] {full}\n")
        lines.append(f"{clock.stamp(form)}[ERROR][o.e.x.m.e.l.LocalExporter] [{node}] failed to flush\n{_TRACE}")
        lines.append(f"{clock.stamp(form)}[INFO ][o.e.n.Node] [{node}] started\n")
    return "".join(lines)


def _event_batches(since: int) -> Iterator[EventBatch]:
    chance = random.Random(SERVICE)  # noqa: S311 - the same events every time
    normal = [
        "start to deploy service, preparing the environment",
        "[model 0.0.1] [image] image pulled in 18.2 s",
        "[model 0.0.1] [pod] container started",
        "[model 0.0.1] [health] instance is ready",
        "service is running",
    ]
    abnormal = [
        "[model 0.0.1] [pod] Back-off restarting failed container",
        "[model 0.0.1] [health] readiness probe failed: HTTP 503",
        "scheduling failed: Insufficient nvidia.com/gpu, 重试中",
    ]
    for day in range(_EVENT_DAYS, -1, -1):
        events = []
        time = since - day * DAY - 2 * HOUR
        for number in range(24):
            failed = chance.random() < 0.2
            kind = EventType.ABNORMAL if failed else EventType.NORMAL
            info = chance.choice(abnormal) if failed else normal[number % len(normal)]
            events.append(Event(occur_time=time, event_type=kind, event_info=info))
            time += chance.randint(0, 9 * MINUTE)
        yield EventBatch(service_name=SERVICE_NAME, events=events)


def _backups(since: int) -> Iterator[BackupRecord]:
    """One record a day, every seventh failed, and three manual ones, one of them running. None has an archive."""
    for day in range(_BACKUP_DAYS, 0, -1):
        failed = day % 7 == 3
        yield _backup(since - day * DAY, "Auto", Status.FAIL if failed else Status.SUCCESS)
    for hours, status in ((50, Status.SUCCESS), (26, Status.FAIL), (1, Status.RUNNING)):
        yield _backup(since - hours * HOUR - MINUTE, "Manual", status)


def _back_up(logs: LogStore, created_at: int) -> None:
    """Make the one backup that has an archive."""
    backups = backup_store(PROJECT, CLUSTER)
    record = backups.cluster(logs).new_record(BACKUP, created_at, "Manual")
    with suppress(BackupInProgress):  # if the user has started one
        if Leases(backups).start(record, now_ms()) or backups.record(BACKUP).status is Status.RUNNING:
            backup_runs(PROJECT, CLUSTER).resume(_BACKUP_SECONDS)


def _backup(created_at: int, job_type: Any, status: Status) -> BackupRecord:
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{CLUSTER} {job_type} {created_at}")
    return BackupRecord(
        id=str(name),
        cluster_id=CLUSTER,
        created_at=created_at,
        log_path=LOG_PATH,
        status=status,
        job_type=job_type,
        job_id=uuid.uuid5(name, "job").hex,
        finished_at=None if status is Status.RUNNING else created_at + 47_000,
        failed_msg="the bucket refused the upload: AccessDenied" if status is Status.FAIL else None,
    )
