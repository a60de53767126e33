"""`python -m logkeep_runtime`, in the environment that Lambda sets for a runtime."""

from logkeep_runtime.loop import main

main()
