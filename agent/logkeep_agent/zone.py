"""The time zone of this machine."""

from collections.abc import Mapping
from pathlib import Path


def machine_time_zone(environment: Mapping[str, str], root: Path = Path("/")) -> str | None:
    """Its IANA name; None if the machine has none, or does not say."""
    if name := environment.get("TZ", "").removeprefix(":"):
        return name if _is_name(name) else None
    link = root / "etc" / "localtime"
    if link.is_symlink():
        _, found, name = str(link.readlink()).partition("zoneinfo/")
        if found and _is_name(name):
            return name
    try:
        name = (root / "etc" / "timezone").read_text().strip()
    except OSError:
        return None
    return name if _is_name(name) else None


def _is_name(text: str) -> bool:
    """Whether it may be an IANA name, and is no rule such as CET-1CEST."""
    return text == "UTC" or ("/" in text and not text.startswith("/") and text.isascii() and text.isprintable())
