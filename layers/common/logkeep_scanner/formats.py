"""The formats of log records, one entry each: how its lines look, and lines that show it (docs/records.md).

The patterns are those of patterns.py. Atoms read what many formats share: `<level>` a word of WORDS in any case,
`<LEVEL>` one in capitals, `<time>` a timestamp of timestamps.py, `<priority>` syslog's. `<debug>` to `<error>` set the
level. `<inner>`, `<json>` and `<logfmt>` read the rest of the line: as a line of its own, as an object, as key=value.
"""

from dataclasses import dataclass
from typing import Final

LEVELS: Final = ("DEBUG", "INFO", "WARN", "ERROR")

WORDS: Final = {
    "DEBUG": "trace trc trce trac verbose vrb fine finer finest debug dbg dbug debu"
    " debug0 debug1 debug2 debug3 debug4 debug5 debug6 debug7 debug8 debug9",
    "INFO": "info inf information informational notice note log system config",
    "WARN": "warn warning wrn",
    "ERROR": "err error erro eror severe crit critical crt fatal fata ftl panic pani pnc pnic dpanic alert emerg"
    " emergency fail failure",
}
# Of JSON and logfmt, at depth one, in any case. OpenTelemetry's numbers of severities have a scale of their own.
LEVEL_KEYS: Final = (
    "level severity lvl loglevel log.level log_level @l levelname level_name @level severitytext severity_text priority"
)
NUMBER_KEYS: Final = "severitynumber severity_number"
TIME_KEYS: Final = (
    "time ts timestamp @timestamp @t datetime date asctime eventtime timeunixnano time_unix_nano __realtime_timestamp"
    " log_time t"
)
LINE_KEYS: Final = "log"  # Docker's json-file: the line as it was written

Case = tuple[str, str | None, int | None]  # a line, its level, its time in epoch milliseconds


@dataclass(frozen=True, slots=True)
class Format:
    """One way of writing a record."""

    name: str
    pattern: str  # from the beginning of the line, or from the end of its timestamp
    cases: tuple[Case, ...]


_LETTER: Final = r"(?:[VD]<debug>|I<info>|W<warn>|[EFA]<error>)"
_GAP: Final = r"(?:[ \t]{1,8}|(?=[\[{\<|]))"
# A level where a timestamp or fields stand before it.
_BRACKETED: Final = r"(?:[\[(\<]{0,2}<LEVEL>(?!\.)|[\[(\<]{1,2}(?:[\w.]{1,30}:|) {0,4}<level>[ \t]{0,8}[\])>])"
# Patterns that others name.
RULES: Final = {
    # Between a time and a level: brackets, a dash or a bar, a number, a word before a dash or a bar, a user, a process.
    "field": r"(?:\[[^\]]{0,80}\]|\{[^}\"]{0,60}\}|\([^)]{0,60}\)|[-|:](?=[ \t])|\#?\d{1,20}(?![^\s\[])"
    r"|[^\s\[|\"]{1,60}[ \t]{1,8}[-|](?=[ \t])|[\w.+-]{1,40}@[\w.-]{1,40}(?= )|[\w.-]{1,40}\[\d{1,10}\](?= ))",
    "marked": _BRACKETED + r"|<level>(?: {0,4}[:|](?![\w/:])|\t|  | - )",
}
_AFTER: Final = (
    _GAP
    + r"(?:<marked>|<field>"
    + _GAP
    + r"(?:<marked>|<field>"
    + _GAP
    + r"(?:<marked>|<field>"
    + _GAP
    + r"<marked>)))"
)
_TIME: Final = r"[\[(]?<time>"
# A bare level begins a line of prose, too. One that hides is believed only if more than a word says so; the others are
# unless the next word makes a sentence of them.
_STRUCTURE: Final = (
    r"(?=[ \t]{0,8}[:>|](?!:)|[ \t]{1,8}[\[({\<]|[ \t]{1,8}-{1,3}[ \t]|\t|  | \d{1,4}[-/.:\d]"
    r"| [\w$]{1,60}[.:/][\w$]| [\w.-]{1,60}=| [a-z0-9_]{0,40}[A-Z]\w{0,40}(?:\.\w|: ))"
)
_SENTENCE: Final = (
    r" (?:modes?|levels?|logging|logs?|messages?|outputs?|is|are|was|were|will|has|have|can|should|flags?|builds?"
    r"|symbols|handl(?:ers|er|ing)|codes?|on|off|enabled|disabled|options?|about|for|of|in|information|and|or|to)(?!\w)"
)

# After a timestamp, with which the line begins.
DATED: Final = (
    Format(
        "GitHub's runner with times",
        r"(?<=\.\d{7}Z) <inner>",
        (
            ("2026-01-31T08:00:00.1234567Z ##[error]Process completed with exit code 1.", "ERROR", 1769846400123),
            ("2026-01-31T08:00:00.1234567Z DEBUG mode is off", None, 1769846400123),
        ),
    ),
    Format(
        "log4j, logback, Hadoop",
        _AFTER,
        (
            ("2026-01-31 08:00:00,123 INFO  [main] c.e.Main: up", "INFO", 1769846400123),
            ("2026-01-31 08:00:00,123 [main] DEBUG c.e.Main - up", "DEBUG", 1769846400123),
            ("08:00:00.123 [main] DEBUG c.e.Main -- up", "DEBUG", None),
            ("2026-01-31 08:00:00,123 - WARN  [Worker:1@7] - slow", "WARN", 1769846400123),
            ("26/01/31 08:00:00 WARN executor.Backend: slow", "WARN", 1769846400000),
            ("260131 080000 148 INFO dfs.DataNode$PacketResponder: x", "INFO", 1769846400000),
        ),
    ),
    Format(
        "Spring Boot",
        _AFTER,
        (
            ("2026-01-31T08:00:00.123+08:00  INFO 1 --- [main] c.e.App : Started", "INFO", 1769817600123),
            ("2026-01-31 08:00:00.123 ERROR 1 --- [exec-1] c.e.App : x", "ERROR", 1769846400123),
        ),
    ),
    Format(
        "Python logging with a time",
        _AFTER,
        (
            ("2026-01-31 08:00:00,123 - app.db - WARNING - slow", "WARN", 1769846400123),
            ("2026-01-31 08:00:00,123 DEBUG:app:message", "DEBUG", 1769846400123),
        ),
    ),
    Format(
        "structlog",
        _AFTER,
        (("2026-01-31T08:00:00.123456Z [warning  ] slow     [app.db] ms=7", "WARN", 1769846400123),),
    ),
    Format(
        "Airflow",
        _AFTER,
        (("[2026-01-31T08:00:00.123+0000] {taskinstance.py:1157} INFO - Starting", "INFO", 1769846400123),),
    ),
    Format(
        "Celery",
        r": {1,2}<LEVEL>/[\w.-]{1,60}\]",
        (("[2026-01-31 08:00:00,123: ERROR/ForkPoolWorker-1] Task x raised", "ERROR", 1769846400123),),
    ),
    Format("NLog", r"\|<level>\|", (("2026-01-31 08:00:00.1234|TRACE|App.Program|Hello", "DEBUG", 1769846400123),)),
    Format(
        "SecretFlow",
        r" ?\|[^|]{0,60}\| {0,4}<level> {0,8}\|",
        (("2026-01-31 08:00:00,123|alice|INFO|secretflow|main.py:run:12| up", "INFO", 1769846400123),),
    ),
    Format(
        "Postgres",
        r"(?: [A-Z]{3,5}(?!\w)|)(?: \[[\d-]{1,20}\]|)(?: [^\s:@]{1,60}@[^\s:]{1,60}|):? "
        r"(?=[A-Z]{3,7}\d?: {1,2})<LEVEL>",
        (
            ("2026-01-31 08:00:00.123 UTC [1234] LOG:  database system is ready", "INFO", 1769846400123),
            ("2026-01-31 08:00:00 UTC [1234] user@db FATAL:  no role", "ERROR", 1769846400000),
            ("2026-01-31 08:00:00 GMT [1] DEBUG2:  autovacuum", "DEBUG", 1769846400000),
            ("2026-01-31 08:00:00 UTC [1234] STATEMENT:  select 1", None, 1769846400000),
        ),
    ),
    Format(
        "MySQL",
        _AFTER,
        (
            ("2026-01-31T08:00:00.123456Z 0 [System] [MY-010116] [Server] starting", "INFO", 1769846400123),
            ("2026-01-31T08:00:00.123456Z 7 [Note] Aborted connection", "INFO", 1769846400123),
        ),
    ),
    Format("nginx's error log", _AFTER, (("2026/01/31 08:00:00 [emerg] 12#12: *1 no file", "ERROR", 1769846400000),)),
    Format(
        "Apache's error log",
        _AFTER,
        (
            ("[Sat Jan 31 08:00:00.123456 2026] [core:notice] [pid 1] AH00094", "INFO", 1769846400123),
            ("[Sat Jan 31 08:00:00 2026] [error] mod_jk child in error state 6", "ERROR", 1769846400000),
        ),
    ),
    Format(
        "Monolog, Laravel",
        r"\]? [\w-]{1,40}\.<LEVEL>: ",
        (("[2026-01-31T08:00:00.123456+00:00] app.ALERT: x [] []", "ERROR", 1769846400123),),
    ),
    Format(
        "zap's console, zerolog's console, Serilog's console",
        _AFTER,
        (
            ("2026-01-31T08:00:00.123Z\tINFO\tapp/main.go:12\tup", "INFO", 1769846400123),
            ("1769846400.123\twarn\tapp/main.go:12\tslow", "WARN", 1769846400123),
            ("2026-01-31T08:00:00Z WRN slow ms=7", "WARN", 1769846400000),
            ("[08:00:00 DBG] Hello", "DEBUG", None),
        ),
    ),
    Format(
        "Elasticsearch",
        _AFTER,
        (("[2026-01-31T08:00:00,123][DEBUG][o.e.n.Node           ] [node-1] up", "DEBUG", 1769846400123),),
    ),
    Format(
        "Android's logcat",
        r" {1,6}\d{1,7} {1,6}\d{1,7} " + _LETTER + r" (?!$)",
        (("01-31 08:00:00.123  1702  2395 V WindowManager: x", "DEBUG", 1769846400123),),
    ),
    Format(
        "CRI",
        r" (?:stdout<out>|stderr<err>) (?:F|P<part>)(?: |$)<inner>",
        (
            ("2026-01-31T08:00:00.123456789Z stderr F [DEBUG] x", "DEBUG", 1769846400123),
            ('2026-01-31T08:00:00.123456789+08:00 stdout F {"level":"info"}', "INFO", 1769817600123),
        ),
    ),
    Format(
        "GitLab's runner",
        r" [0-9a-f]{2}[OE](?:\+<continues>| |$)<inner>",
        (("2026-01-31T08:00:00.123456Z 00O [DEBUG] x", "DEBUG", 1769846400123),),
    ),
    Format(
        "docker logs -t, kubectl logs --timestamps",
        r"(?<=\.\d{9}Z) <inner>",
        (
            ("2026-01-31T08:00:00.123456789Z [DEBUG] x", "DEBUG", 1769846400123),
            ("2026-01-31T08:00:00.123456789Z text", None, 1769846400123),
        ),
    ),
    Format(
        "Windows CBS",
        r", <level> {1,40}[A-Z]{2}",
        (("2026-01-31 08:00:00, Info                  CBS    Loaded", "INFO", 1769846400000),),
    ),
    Format(
        "syslog (RFC 3164) without a priority",
        (
            r" [\w.:-]{1,80} [^\s:\[]{1,60}(?:\[[\w.-]{1,20}\]|): {1,2}"
            r"(?:(?!ALERT )" + _BRACKETED + r"|(?=\{\"|level=|time=|[IWEF]\d{4} )<inner>)"
        ),
        (
            ("Jan 31 08:00:00 node kubelet[7]: W0131 08:00:00.385780       1 a.go:8] x", "WARN", 1769846400000),
            ("Jan 31 08:00:00 host app[12]: ERROR x", "ERROR", 1769846400000),
            ("Jan 31 08:00:00 host sshd(pam_unix)[19939]: check pass", None, 1769846400000),
            ("2026-01-31T08:00:00.123456+00:00 host app[12]: <debug> x", "DEBUG", 1769846400123),
            ('Jan 31 08:00:00 host app[12]: {"level":"warn"}', "WARN", 1769846400000),
        ),
    ),
    Format(
        "MongoDB until 4.2",
        r" (?:D\d?<debug>|I<info>|W<warn>|[EF]<error>) {1,2}[A-Z]{2,12} {1,9}\[",
        (("2026-01-31T08:00:00.123+0000 W NETWORK  [conn1] slow", "WARN", 1769846400123),),
    ),
    Format(
        "etcd until 3.3",
        r" (?:D<debug>|[IN]<info>|W<warn>|[CE]<error>) \| ",
        (("2026-01-31 08:00:00.123456 E | etcdmain: it broke", "ERROR", 1769846400123),),
    ),
    Format(
        "AWS Lambda's Node.js",
        r"\t(?:[\da-f-]{36}|undefined)\t<LEVEL>\t",
        (
            ("2026-01-31T08:00:00.123Z\t8f5cb7b0-c3a4-4a0e-9f4b-3a9f1c0d2e6f\tDEBUG\tx", "DEBUG", 1769846400123),
            ("2026-01-31T08:00:00.123Z\tundefined\tERROR\tUncaught Exception", "ERROR", 1769846400123),
        ),
    ),
    Format(
        "PHP",
        r"\]? PHP (?:(?:Fatal|Parse) error<error>|(?:Warning|Deprecated)<warn>|Notice<info>):",
        (("[31-Jan-2026 08:00:00 UTC] PHP Fatal error:  Uncaught x in a.php:1", "ERROR", 1769846400000),),
    ),
    Format(
        "Storm",
        r" [\w.$-]{1,80} [\w.$/-]{1,60} \[<LEVEL>\] ",
        (("2026-01-31 08:00:00.123 o.a.s.d.nimbus main [DEBUG] x", "DEBUG", 1769846400123),),
    ),
    Format(
        "Cisco IOS",
        r":? (?:[A-Z]{3,4}: |)%[A-Z0-9_]{1,40}-(?:[0-3]<error>|4<warn>|[56]<info>|7<debug>)-[A-Z0-9_]{1,60}:",
        (("Jan 31 08:00:00.123: %LINK-3-UPDOWN: Interface Gi0/1, changed state to down", "ERROR", 1769846400123),),
    ),
    Format(
        "Redis",
        r" (?:[.-]<debug>|\*<info>|\#<warn>) [A-Z]",
        (("1:M 31 Jan 2026 08:00:00.123 * Ready to accept connections", "INFO", 1769846400123),),
    ),
    Format(
        "JSON or logfmt after a time",
        r"[ \t]{1,2}(?=\{\"|level=|time=)<inner>",
        (('2026-01-31T08:00:00.123456789Z {"level":"debug"}', "DEBUG", 1769846400123),),
    ),
)

# At the beginning of a line.
PLAIN: Final = (
    Format(
        "klog, glog",
        r"(?:I<info>|W<warn>|[EF]<error>)<klog> {1,8}\d{1,10} [^\s:\]]{1,120}:\d{1,6}\]",
        (
            ("E0131 08:00:00.385780       1 trace.go:897] boom", "ERROR", 1769846400385),
            ("I20260131 08:00:00.385780     1 main.cc:7] up", "INFO", 1769846400385),
        ),
    ),
    Format(
        "a level in brackets",
        r"(?:\[{1,2} {0,4}<level>[ \t]{0,8}\]|[(\<]<LEVEL>[)>])(?:[ \t-]{0,4}" + _TIME + r"|)",
        (
            ("[DEBUG] Reading global settings", "DEBUG", None),
            ("[error] it broke", "ERROR", None),
            ("[INFO ] 2026-01-31 08:00:00 up", "INFO", 1769846400000),
        ),
    ),
    Format(
        "WebLogic",
        r"\<<time>(?: [A-Z]{3,4}|)> \<<level>>",
        (("<Jan 31, 2026 8:00:00 AM UTC> <Warning> <Security> <BEA-1> <x>", "WARN", 1769846400000),),
    ),
    Format(
        "Cassandra",
        r"<LEVEL>[ \t]{1,8}\[[^\]]{1,80}\] <time>",
        (("DEBUG [main] 2026-01-31 08:00:00,123 Keyspace.java:12 - x", "DEBUG", 1769846400123),),
    ),
    Format(
        "HPC's clusters",
        r"\d{1,10} \S{1,60} \S{1,60} \S{1,60} <time> \d",
        (("2558 node-246 unix.hw state_change.unavailable 1769846400 1 Component State: x", None, 1769846400000),),
    ),
    Format(
        "docker compose",
        r"[a-z][\w.-]{1,60}(?<=[_-]\d) {1,40}\| <inner>",
        (
            ("web-1       | [DEBUG] x", "DEBUG", None),
            ("app_db_1  | 2026-01-31 08:00:00.123 UTC [1] LOG:  ready", "INFO", 1769846400123),
        ),
    ),
    Format(
        "a level and more",
        r"<LEVEL>(?:[ \t]{1,8}" + _TIME + r"|" + _STRUCTURE + r")",
        (
            ("DEBUG:root:connecting", "DEBUG", None),
            ("DEBUG: /ws/x.bzl:1:1: Rule 'foo'", "DEBUG", None),
            ("DEBUG    root:test_a.py:3 connecting", "DEBUG", None),
            ("INFO 2026-01-31 08:00:00,123 views 12 34 ok", "INFO", 1769846400123),
            ("WARN  o.e.j.Server - slow", "WARN", None),
            ("DEBUG c.e.Main - up", "DEBUG", None),
            ("DEBUG mode is off", None, None),
        ),
    ),
    Format(
        "a level and text",
        r"(?!DEBUG|TRACE|FINE|VERBOSE|DBG|TRC|VRB|CONFIG|NOTE|LOG|SYSTEM|FAIL)<LEVEL>(?:$|(?!" + _SENTENCE + r")(?= ))",
        (
            ("ERROR Failed to compile", "ERROR", None),
            ("ERROR handling is on", None, None),
        ),
    ),
    Format(
        "log4j's %5p",
        r" (?=INFO|WARN)<LEVEL> {1,2}(?:" + _TIME + r"|(?=[\[(]|- |[\w$]{1,40}\.[\w.$]))",
        (
            (" INFO [main] c.e.Main: up", "INFO", None),
            (" WARN 2026-01-31 08:00:00,123 [main] slow", "WARN", 1769846400123),
        ),
    ),
    Format(
        "Ruby, Rails",
        r"[DIWEFA], \[<time> ?\#\d{1,10}\] {1,2}(?:<LEVEL>|ANY<info>) -- ",
        (("D, [2026-01-31T08:00:00.123456 #1] DEBUG -- : select 1", "DEBUG", 1769846400123),),
    ),
    Format(
        "logrus on a terminal",
        r"(?=[A-Z]{4}\[)<LEVEL>\[(?:<time>|\d{4,10})\]",
        (
            ("DEBU[0000] connecting                  host=a", "DEBUG", None),
            ("ERRO[2026-01-31T08:00:00Z] it broke", "ERROR", 1769846400000),
        ),
    ),
    Format(
        "zerolog's console with a short time",
        r"\d{1,2}:\d\d[AP]M (?:<LEVEL> |\[<level>\])",
        (("8:00AM DBG connecting", "DEBUG", None),),
    ),
    Format(
        ".NET's console",
        r"(?=(?:trce|dbug|info|warn|fail|crit):)<level>: [\w.`+\<>]{1,200}\[-?\d{1,10}\]",
        (
            ("dbug: Microsoft.Hosting.Lifetime[14]", "DEBUG", None),
            ("fail: App.Program[0]", "ERROR", None),
        ),
    ),
    Format(
        "Android's logcat, brief",
        _LETTER + r"/[^\s(]{1,60} {0,8}\( {0,5}\d{1,7}\):",
        (("D/dalvikvm( 1702): GC_CONCURRENT", "DEBUG", None),),
    ),
    Format(
        "syslog (RFC 5424)",
        r"\<<priority>>\d (?:<time>|-) ",
        (("<165>1 2026-01-31T08:00:00.123Z host app 12 ID47 - x", "INFO", 1769846400123),),
    ),
    Format(
        "syslog (RFC 3164)",
        r"\<<priority>>(?:<time>|(?=[\w.-]{1,60}[\[: ]))",
        (("<34>Jan 31 08:00:00 host su: 'su root' failed", "ERROR", 1769846400000),),
    ),
    Format(
        "GitHub's runner",
        (
            r"(?:\#\#\[(?=error|warning|notice|debug)<level>\]"
            r"|::(?=error|warning|notice|debug)<level>(?: (?:[^:]|:(?!:)){0,200}|)::)"
        ),
        (
            ("##[error]Process completed with exit code 1.", "ERROR", None),
            ("::warning file=a.js,line=1::x", "WARN", None),
        ),
    ),
    Format(
        "BlueGene/L",
        (r"[A-Z-]{1,20} <time> \d{4}\.\d\d\.\d\d \S{1,60} [\d.-]{1,30} \S{1,60} \w{1,30} \w{1,30} <LEVEL>"),
        (
            (
                "- 1769846400 2026.01.31 R02-M1 2026-01-31-08.00.00.363779 R02-M1 RAS KERNEL INFO corrected",
                "INFO",
                1769846400000,
            ),
        ),
    ),
    Format(
        "syslog of a cluster",
        r"[A-Z_-]{1,20} <time> \d{4}\.\d\d\.\d\d ",
        (("- 1769846400 2026.01.31 dn228 Jan 31 08:00:00 dn228/dn228 crond: x", None, 1769846400000),),
    ),
    Format(
        "access logs",
        (r"(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|[\da-f:]{2,39}|localhost) [^\s\[]{1,40} [^\s\[]{1,60} \[<time>\]"),
        (('10.0.0.1 - - [31/Jan/2026:08:00:00 +0000] "GET / HTTP/1.1" 200 1', None, 1769846400000),),
    ),
    Format(
        "JSON",
        r"(?=\{ {0,4}\")<json>",
        (
            ('{"@timestamp":"2026-01-31T08:00:00.123Z","log.level":"WARN","message":"x"}', "WARN", 1769846400123),
            ('{"@t":"2026-01-31T08:00:00.123Z","@l":"Debug","@mt":"x"}', "DEBUG", 1769846400123),
            ('{"message":"x","levelname":"ERROR","asctime":"2026-01-31 08:00:00,123"}', "ERROR", 1769846400123),
            ('{"name":"a","level":20,"time":"2026-01-31T08:00:00.123Z","v":0}', "DEBUG", 1769846400123),
            ('{"level":50,"time":1769846400123,"msg":"x"}', "ERROR", 1769846400123),
            (
                '{"timeUnixNano":"1769846400123456789","severityNumber":9,"body":{"level":"debug"}}',
                "INFO",
                1769846400123,
            ),
            ('{"level":"info","ts":1769846400.123,"caller":"a.go:1","msg":"x"}', "INFO", 1769846400123),
            ('{"msg":"a \\"level\\":\\"debug\\"","fields":{"level":"debug"}}', None, None),
            ('{"log":"[DEBUG] x\\n","stream":"stderr","time":"2026-01-31T08:00:00.123Z"}', "DEBUG", 1769846400123),
        ),
    ),
    Format(
        "logfmt",
        r"(?=[a-z@][\w.@-]{0,39}=)<logfmt>",
        (
            ("level=debug msg=x", "DEBUG", None),
            ('time="2026-01-31T08:00:00Z" level=info msg=x', "INFO", 1769846400000),
            ("ts=1769846400.123 caller=main.go:1 level=warn msg=x", "WARN", 1769846400123),
        ),
    ),
)

# What plainly continues the line before: white space, and the shapes of stack traces.
CONTINUATIONS: Final = (
    r"[ \t\v\f]",
    # Java, Scala, Kotlin, .NET, and the last line of a Python traceback
    r"(?=[\w-]{1,60}\.)[\w$.-]{1,300}(?:(?<=Exception)|(?<=Error)|(?<=Throwable)|(?<=Failure))(?:: |:?$)",
    r"[A-Z]\w{1,60}(?<=Exception)\[",  # Elasticsearch 1
    r"(?:Caused by|Suppressed|Wrapped by):(?: |$)",
    r"\.\.\. \d{1,5} (?:more|common frames omitted|frames? truncated|frames? omitted)(?!\w)",
    r"at [\w$.\<>/@-]{1,200}"
    r"\((?:[\w$]{1,80}\.(?:java|kt|scala|groovy|clj)(?::\d{1,6}|)|Native Method|Unknown Source)\)",
    r"--- End of ",
    # Go
    r"goroutine \d{1,12} (?:gp=[^\[]{0,80}|)\[[^\]]{1,80}\]:",
    r"created by [\w./-]{1,120}[\w.()*]{0,80}(?: in goroutine \d|$)",
    r"(?=[\w/-]{1,120}\.)[\w./*-]{1,160}(?:\(\*?\w{1,60}\)[\w.\[\]]{1,80}|)\((?:0x[0-9a-f]{1,16}|\.\.\.|\{0x)",
    r"(?:main|runtime)\.[\w.]{1,60}\(\)$",
    # Rust
    r"stack backtrace:$",
    r"note: run with `RUST_BACKTRACE",
    # Python
    r"During handling of the above exception, another exception occurred:$",
    r"The above exception was the direct cause of the following exception:$",
)
CONTINUING: Final = (
    "  wrapped",
    "\tat com.example.Main.run(Main.java:42)",
    "",
    "   ",
    "java.net.ConnectException: refused",
    "java.lang.NullPointerException",
    "requests.exceptions.ConnectionError: refused",
    "MapperParsingException[mapping]; nested: x",
    "Caused by: java.io.IOException: reset",
    "Caused by:",
    "\t... 12 more",
    "... 12 more",
    "\tSuppressed: java.lang.Exception: x",
    '  File "a.py", line 1, in <module>',
    "goroutine 1 [running]:",
    "main.main()",
    "main.(*server).run(0xc000010000, 0x1)",
    "net/http.(*conn).serve(0xc000010000, {0x1, 0x2})",
    "\t/app/main.go:12 +0x1d",
    "created by main.main in goroutine 1",
    "created by net/http.(*Server).Serve",
    "   at App.Program.Main(String[] args) in /src/Program.cs:line 12",
    "--- End of stack trace from previous location ---",
    "    at Object.<anonymous> (/app/index.js:1:7)",
    "\tfrom app.rb:1:in 'block'",
    "stack backtrace:",
    "   0: rust_begin_unwind",
    "During handling of the above exception, another exception occurred:",
)

# What stands before a timestamp at the beginning of a line, and closes it: brackets, a file's name, Redis' process.
HEAD: Final = r"(?:[\[(]{1,2}|[a-z][\w-]{0,60}\.log[\w.:-]{0,60} |\d{1,8}:[MSCX] |)(?:<time>|<clock>)[\])]{0,2}"
