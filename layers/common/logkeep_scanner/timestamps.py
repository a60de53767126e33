"""Timestamps of logs: every way of writing one that the formats know, as patterns of their own."""

from typing import Final

# The fields of a time, numbered as in scanner.c: a year of four and of two digits, month by number and by name, day,
# hour, minute, second, fraction, AM or PM, zone, month and day in either order, and seconds since 1970.
FIELDS: Final = ("y", "yy", "mo", "mon", "d", "h", "mi", "s", "f", "half", "z", "a", "b", "epoch")

_DAY: Final = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"

# Patterns that those below name.
RULES: Final = {
    "clock": r"(?P<h>\d{1,2}):(?P<mi>\d\d):(?P<s>\d\d)(?:[.,:](?P<f>\d{1,9})|)",
    "half": r" ?(?P<half>[AaPp][Mm])(?!\w)|",
    "zone": r"(?P<z>Z(?!\w)|[+-]\d\d(?::?\d\d|)(?![\d:-])| [+-]\d\d:?\d\d(?!\d)| \+\d\d(?![\w:.-])"
    r"| ?(?:UTC|GMT)(?: ?[+-]\d{1,2}(?::?\d\d|)|)(?!\w)| Z(?!\w)|)",
    "month": r"(?P<mon>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
}

# In this order: the first that matches counts. 31/12/2026 and 12/31/2026 are both read; where both could be meant, the
# month is first. Without a year, it is the one that puts the time nearest before its arrival.
TIMES: Final = {
    "ISO 8601": r"(?P<y>\d{4})[-/.](?P<mo>\d{1,2})[-/.](?P<d>\d{1,2})[T _-]<clock><half><zone>",
    "DB2": r"(?P<y>\d{4})-(?P<mo>\d\d)-(?P<d>\d\d)-(?P<h>\d\d)\.(?P<mi>\d\d)\.(?P<s>\d\d)(?:\.(?P<f>\d{1,9})|)",
    "compact": r"(?P<y>\d{4})(?P<mo>\d\d)(?P<d>\d\d)[T _-]?(?P<h>\d\d)(?P<mi>\d\d)(?P<s>\d\d)"
    r"(?:[.,](?P<f>\d{1,9})|)(?!\d)<zone>",
    "compact date": r"(?P<y>\d{4})(?P<mo>\d\d)(?P<d>\d\d)[T _-](?P<h>\d{1,2}):(?P<mi>\d{1,2}):(?P<s>\d{1,2})"
    r"(?:[.,:](?P<f>\d{1,9})|)<zone>",
    "syslog": r"<month> {1,2}(?P<d>\d{1,2}) <clock>",
    "ctime": _DAY + r",? <month> {1,2}(?P<d>\d{1,2}) <clock>(?: [A-Z]{3,4}|) (?P<y>\d{4})",
    "month day, year": r"<month> {1,2}(?P<d>\d{1,2}),? (?P<y>\d{4}),? <clock><half><zone>",
    "two-digit year": r"(?P<yy>\d\d)/(?P<mo>\d\d)/(?P<d>\d\d) <clock>(?! ?[AaPp][Mm](?!\w))<zone>",
    "HDFS": r"(?P<yy>\d\d)(?P<mo>\d\d)(?P<d>\d\d) (?P<h>\d\d)(?P<mi>\d\d)(?P<s>\d\d)(?!\d)",
    "MySQL 5": r"(?P<yy>\d\d)(?P<mo>\d\d)(?P<d>\d\d) {1,2}<clock>",
    "slashes": r"(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<y>\d{4}),?[ T:]<clock><half><zone>",
    "slashes and AM": r"(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<yy>\d\d),? <clock><half>",
    "day, name of the month": r"(?:" + _DAY + r",? |)(?P<d>\d{1,2})[-/ ]<month>[-/ ]"
    r"(?:(?P<y>\d{4})|(?P<yy>\d\d))[ :T]<clock><half><zone>",
    "year, name of the month": r"(?P<y>\d{4})[ -]<month>[ -](?P<d>\d{1,2}) <clock><zone>",
    "day.month.year": r"(?P<d>\d{1,2})[.-](?P<mo>\d{1,2})[.-](?P<y>\d{4}),?[ T]<clock><half><zone>",
    "logcat": r"(?P<mo>\d\d)[-.](?P<d>\d\d) <clock>",
    "epoch": r"(?P<epoch>\d{10}(?:\d{9}|\d{6}|\d{3}|))(?:[.,](?P<f>\d{1,9})|)(?=[\s\]),:;|\"}]|$)",
}
# A time only within a line of klog or glog.
KLOG_TIMES: Final = {
    "klog": r"(?P<mo>\d\d)(?P<d>\d\d) <clock>",
    "glog": TIMES["compact date"],
}
CLOCK: Final = r"<clock>"
