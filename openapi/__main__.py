"""Writes docs/openapi.json and docs/api.html."""

import json
from pathlib import Path

from local import ROOT
from local.template import Template
from openapi.document import document
from openapi.page import page


def files() -> dict[Path, str]:
    """The text of each file."""
    made = document(Template.load())
    return {
        ROOT / "docs" / "openapi.json": json.dumps(made, indent=1, ensure_ascii=False) + "\n",
        ROOT / "docs" / "api.html": page(made),
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
