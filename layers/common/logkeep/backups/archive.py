"""The archive of a backup: a ZIP that is a pure function of its cut."""

import json
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from logkeep.backups.cuts import Cut, Slice
from logkeep.backups.event_files import EventFile
from logkeep.downloads.archive import MANIFEST, Entry, ZipLayout, entry_names
from logkeep.extents import Extent, Facts
from logkeep.logs.fragment import END
from logkeep.logs.reader import LogReader


class Archive:
    """The ZIP of a cut: manifest.json, then a file per slice, joined from the log's fragments, then one per service.

    Files are named `{instance}/{log type}/{first byte}-{end}.log` and `events/{service}/{created_at}.ndjson`. So files
    of a full backup and of the incremental ones after it, unzipped into one folder, sort in order.
    """

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.slices = cut.parts
        files = [f"events/{each.service}/{cut.created_at:013d}.ndjson" for each in cut.events]
        names = entry_names([*map(_file_name, self.slices), *files])
        self.names, self.event_names = names[: len(self.slices)], names[len(self.slices) :]
        self._manifest = self._manifest_of(dict(zip((each.log_id for each in self.slices), self.names, strict=True)))
        self._parts: list[Slice | EventFile] = [*self.slices, *cut.events]
        entries = [each.entry(name) for each, name in zip(self._parts, names, strict=True)]
        self.layout = ZipLayout([Entry.stored(MANIFEST, self._manifest), *entries])

    @property
    def facts(self) -> Facts:
        return Facts(self.layout.size, self.layout.size, self.layout.crc32)

    @property
    def raw_size(self) -> int:
        return sum(each.raw for each in self._parts)

    @property
    def sources(self) -> list[str]:
        """The sources of the entries after the manifest, in words."""
        return [*(each.log_id for each in self.slices), *(f"the events of {each.service}" for each in self.cut.events)]

    def make(self, logs: LogReader) -> Generator[Extent, None, Facts]:
        def packed(index: int) -> Iterator[Extent]:
            if index == 0:
                yield self._manifest
                return
            part = self._parts[index - 1]
            yield from part.extents() if isinstance(part, EventFile) else part.extents(logs)
            yield END

        yield from self.layout.extents(packed)
        return self.facts

    def content_of(self, index: int) -> tuple[int, int]:
        """First byte and size of the packed bytes of a slice. Indexes after the slices are those of event files."""
        return self.layout.content_start(index + 1), self.layout.entries[index + 1].packed

    def _manifest_of(self, names: Mapping[str, str]) -> bytes:
        rows = [
            {
                "id": each.log_id,
                "entry": names.get(each.log_id),  # null if nothing is new
                "state": each.state,
                "from": each.begin.end,
                "bytes": each.mark.end,
                "lines": each.lines,
                "crc32": f"{each.mark.crc32:08x}",
            }
            for each in self.cut.logs
        ]
        fields: dict[str, Any] = {
            "record": self.cut.record_id,
            "cluster": self.cut.cluster_id,
            "created_at": self.cut.created_at,
        }
        fields |= {"continues": self.cut.base, "logs": rows}
        if self.cut.events:
            named = zip(self.cut.events, self.event_names, strict=True)
            fields["services"] = [file.shown(name) for file, name in named]
        return json.dumps(fields, indent=1).encode() + b"\n"


def _file_name(part: Slice) -> str:
    _, _, instance, log_type = part.log_id.split("/")
    return f"{instance}/{log_type}/{part.begin.end:016d}-{part.mark.end:016d}.log"
