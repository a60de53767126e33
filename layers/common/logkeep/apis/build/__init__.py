"""CodeArts Build: downloads and pages of build logs (docs/apis.md#codearts-build)."""
