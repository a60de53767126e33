"""Writes docs/openapi.json and docs/api.html."""

import json

from local import ROOT
from local.template import Template
from openapi.document import document

DOCUMENT = ROOT / "docs" / "openapi.json"


def written() -> str:
    return json.dumps(document(Template.load()), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(written())
