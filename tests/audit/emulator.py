"""ministack that notes what it decides about requests of roles in the file LOGKEEP_DECISIONS."""

import json
import os
from pathlib import Path
from typing import Any, Final

from ministack import app
from ministack.core import iam_evaluator

_FILE: Final = Path(os.environ["LOGKEEP_DECISIONS"])
_evaluate = iam_evaluator.evaluate


def evaluate(request: Any, *policies: Any) -> Any:
    decided = _evaluate(request, *policies)
    if "assumed-role" in request.principal_arn or ":role/" in request.principal_arn:
        noted = [request.principal_arn, request.action, request.resource_arn, decided.decision == "Allow"]
        with _FILE.open("a") as file:
            file.write(json.dumps(noted) + "\n")
    return decided


if __name__ == "__main__":
    iam_evaluator.evaluate = evaluate
    app.main()
