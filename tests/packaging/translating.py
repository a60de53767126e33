"""What SAM makes of the template for CloudFormation, by the translator in sam's own environment."""

import json
import os
import subprocess
from functools import cache
from typing import Any, Final

from local import ROOT

TRANSLATE: Final = """
import json, sys
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

template = yaml_parse(open("template.yaml").read())
for each in template["Resources"].values():
    for uri in {"CodeUri", "ContentUri"} & each.get("Properties", {}).keys():
        each["Properties"][uri] = "s3://bucket/key"
loader = type("Loader", (), {"load": lambda self: {}})()
translated = transform(template, {}, loader)
"""


def in_sam(program: str) -> Any:
    """What a program, run by the interpreter of sam after the template is `translated`, prints as JSON."""
    done = subprocess.run(  # noqa: S603 - our own tool
        [ROOT / ".venv-sam" / "bin" / "python", "-c", TRANSLATE + program],
        cwd=ROOT,
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return json.loads(done.stdout)


@cache
def translated() -> dict[str, Any]:
    found: dict[str, Any] = in_sam("json.dump(translated, sys.stdout)")
    return found
