"""The arguments of samlocal/check.sh: every function once with its event, and requests to `sam local start-api`."""

from local.template import Template

REQUESTS = ["GET /v1/log-file 401", "GET /v9/nothing 404"]

if __name__ == "__main__":
    for request in REQUESTS:
        print(f"-A\n{request}")
    # A sandbox has what make run's sample data holds; seal_log comes behind the append of its log.
    for name, function in Template.load().functions.items():
        print(f"{name}=events/{function.folder}.json")
