"""CodeArts Check: downloads and pages of the logs of code checks (docs/apis.md#codearts-check)."""
