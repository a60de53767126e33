"""Manages credentials of Logkeep, shows what every project costs, and rebuilds what was lost."""

import argparse
import json
import re
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoRegionError

from admin import Refused
from admin.cost import PARTS, Cost, costs_of
from admin.credentials import Credentials, document
from admin.kept import adopt, chosen_names, kept, removal, types
from admin.target import CONFIG, Target, default_stack
from admin.usage import stored, used
from local.template import Template
from logkeep.errors import Busy
from logkeep.identity.credentials import Credential, Kind, Scope
from logkeep.logid import is_segment
from logkeep.logs.rebuild_store import Outcome, Rebuilding
from logkeep.web.audit import NO_CALLER

type _Run = Callable[[Target, argparse.Namespace], None]

_SECONDS: Final = {"h": 3600, "d": 86400}
_NAME_MAX: Final = 128
_CREATE: Final = """\
Makes a credential and prints it as JSON. Its secret is shown only now and never again, so keep it.

  access-key    an id and a secret to sign requests with (SDK-HMAC-SHA256)
  token         for the header X-Auth-Token
  kuscia-token  for the header Token of Kuscia's API
  user          a name and a password for POST /v3/auth/tokens

Without --scope it may only read (logs:read). A producer needs --scope logs:write,events:write, and logs:read only if
it reads back what it wrote.
"""
_ROTATE: Final = """\
Makes a second credential of the same kind, name, project, scopes and lifetime, and prints it as JSON. Both work until
you disable or delete the old one. More than two never work at the same time.
"""
_KEY_TEXT: Final = """\
Makes a new key to sign the tokens of POST /v3/auth/tokens with. Tokens of the previous key stay valid until they
expire, after a day at most. TOKENS OF THE KEY BEFORE THAT STOP WORKING within five minutes. So after two rotations
within a day, users have to log in again.
"""
_ZONE: Final = """\
Sets the zone in which times are read that name none, for logs that are new from now on and whose writer names no zone
(header Logkeep-Timezone). It is UTC until it is set. A log keeps the zone that it began with.
"""
_COST: Final = """\
Shows what the requests of every project cost, and what a month of its objects in the bucket costs, by list prices
(us-east-1, arm64). It adds up the line that every request leaves in the functions' logs. On AWS it runs one query of
CloudWatch Logs Insights ($0.005 per GB of logs) and lists the bucket ($0.005 per million objects). Project - stands for
requests without a valid credential, and for those that need none.
"""


_KEPT: Final = """\
Shows what deleted stacks of this name, or a failed first deployment, left in the account: tables, bucket, key. They
cost what they store, and the key $1 a month. The commands below each remove it WITH ALL ITS DATA; ./logkeep-admin adopt
takes it into a new stack instead.
"""
_ADOPT: Final = """\
Makes a stack of what is kept of another one, by an import of CloudFormation. Nothing is copied or changed; make deploy
then adds all the rest. A table that was restored under another name is given as LogsTable=NAME, a parameter that your
deployment sets, such as BackupLockDays=30, likewise. Without --yes it only says what it would adopt.
"""
_REBUILD: Final = """\
Makes heads and packs of logs again from the objects in the bucket: all of them if the table of logs is lost, or those
that a table lacks that was restored from an earlier time. Logs whose objects are gone are dropped. What was in the
table alone, the end of a log that was not packed yet, cannot be made again: LOST says how many bytes that are. It can
be repeated. NOTHING MAY BE WRITTEN MEANWHILE. Without --yes it only says what it would do.
"""


def main() -> None:
    arguments = _parser().parse_args(namespace=argparse.Namespace(local=False, stack=None, region=None, profile=None))
    try:
        arguments.run(arguments)
    except EndpointConnectionError as error:
        sys.exit("the local service is not running; start it with: make run" if arguments.local else str(error))
    except NoRegionError:
        sys.exit("no AWS region is configured: pass --region, or --local for the service of make run")
    except (Refused, Busy, BotoCoreError, ClientError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted")


def _parser() -> argparse.ArgumentParser:
    target = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    where = target.add_argument_group("service")
    where.add_argument("--local", action="store_true", help="the service of make run, not AWS")
    where.add_argument("--stack", help=f"name of the stack on AWS (default: {default_stack()})")
    where.add_argument("--region", help="region of the stack (default: your environment's)")
    where.add_argument("--profile", help="profile of your AWS configuration (default: your environment's)")

    parser = argparse.ArgumentParser("logkeep-admin", description=__doc__, parents=[target])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: _Run | None, brief: str, text: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            parents=[target],
            description=text or f"{brief.capitalize()}.",
            help=brief,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(wrong=made.error)
        if run:
            made.set_defaults(run=lambda arguments: run(_target(arguments), arguments))
        return made

    create = command("create", _create, "make a credential and print it", _CREATE)
    create.add_argument("kind", choices=list(Kind), type=Kind, metavar=f"{{{','.join(Kind)}}}")
    create.add_argument("--project", required=True, type=_project, help="the project that it belongs to")
    create.add_argument("--name", type=_name, help="the client's name (default: the id); a user logs in with it")
    create.add_argument(
        "--scope",
        action="extend",
        type=_scopes,
        metavar="SCOPE[,SCOPE…]",
        help=f"one or more of {', '.join(Scope)} (default: {Scope.LOGS_READ})",
    )
    create.add_argument(
        "--expires", type=_lifetime, metavar="90d|24h|never", help="time until it expires (default: never)"
    )

    listing = command("list", _list, "list credentials, without their secrets")
    listing.add_argument("--project", type=_project, help="only those of this project")
    listing.add_argument("--json", action="store_true")

    for name, run, brief, text in (
        ("rotate", _rotate, "make a second secret for the client of a credential", _ROTATE),
        ("disable", _disable, "disable a credential; it stops working within a minute", ""),
        ("enable", _enable, "let a disabled credential work again", ""),
    ):
        command(name, run, brief, text).add_argument("id", metavar="ID")
    delete = command("delete", _delete, "delete a credential for good; it stops working within a minute")
    delete.add_argument("id", metavar="ID")
    delete.add_argument("--yes", action="store_true", required=True, help="confirm; required")
    command("rotate-token-key", rotate_token_key, "sign new tokens with a new key", _KEY_TEXT)

    zone = command("time-zone", _time_zone, "set the time zone of a project's new logs", _ZONE)
    zone.add_argument("project", type=_project, metavar="PROJECT")
    zone.add_argument("zone", metavar="NAME", help="an IANA name such as Asia/Shanghai")

    rebuilding = command("rebuild", _rebuild, "make the table of logs again from the bucket", _REBUILD)
    rebuilding.add_argument("--project", type=_project, help="only this one (default: all that have objects)")
    rebuilding.add_argument("--yes", action="store_true", help="do it")
    rebuilding.add_argument("--json", action="store_true", help="one JSON object a log, as it comes")

    leftovers = command("kept", None, "show what is kept of a stack that is gone, and how to remove it", _KEPT)
    leftovers.set_defaults(run=_kept)
    adoption = command("adopt", None, "make a stack of what is kept of another one", _ADOPT)
    adoption.set_defaults(run=_adopt)
    adoption.add_argument("names", nargs="*", metavar="NAME=VALUE", help="of a resource or of a parameter")
    adoption.add_argument("--from", dest="source", metavar="STACK", help="whose resources to adopt (default: --stack)")
    adoption.add_argument("--yes", action="store_true", help="do it")

    cost = command("cost", _cost, "show what every project costs, by list prices", _COST)
    cost.add_argument("--days", type=_days, default=30, help="days up to now (default: 30, as long as logs are kept)")
    cost.add_argument("--json", action="store_true")
    return parser


def _scopes(text: str) -> list[Scope]:
    try:
        return [Scope(each) for each in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be one or more of {', '.join(Scope)}, joined by commas") from None


def _target(arguments: argparse.Namespace) -> Target:
    if not arguments.local:
        return Target.stack(arguments.stack or default_stack(), arguments.region, arguments.profile)
    if arguments.stack or arguments.region or arguments.profile:
        arguments.wrong("--local cannot be combined with --stack, --region or --profile")
    from admin.local_service import local_target  # here, because it loads the local service, which AWS does not need

    return local_target()


def _create(target: Target, arguments: argparse.Namespace) -> None:
    if arguments.kind is Kind.USER and not arguments.name:
        arguments.wrong("a user needs a --name to log in with")
    now = int(time.time())
    wanted = Credential(
        id="",
        kind=arguments.kind,
        name=arguments.name or "",
        project=arguments.project,
        scopes=frozenset(map(str, arguments.scope or [Scope.LOGS_READ])),
        created_at=now,
        expires_at=now + arguments.expires if arguments.expires else None,
    )
    _print_json(_credentials(target).create(wanted).document())


def _list(target: Target, arguments: argparse.Namespace) -> None:
    found = [each for each in _credentials(target).all() if arguments.project in {None, each.project}]
    documents = [document(each) for each in found]
    if arguments.json:
        _print_json(documents)
        return
    rows = [[_cell(value) for value in each.values()] for each in documents]
    _print_table([["ID", "KIND", "NAME", "PROJECT", "SCOPES", "CREATED", "EXPIRES", "STATE"], *rows])


def _rotate(target: Target, arguments: argparse.Namespace) -> None:
    _print_json(_credentials(target).rotate(arguments.id).document())


def _disable(target: Target, arguments: argparse.Namespace) -> None:
    _credentials(target).disable(arguments.id)
    print(f"{arguments.id} is disabled; it stops working within a minute")


def _enable(target: Target, arguments: argparse.Namespace) -> None:
    _credentials(target).enable(arguments.id)
    print(f"{arguments.id} is enabled")


def _delete(target: Target, arguments: argparse.Namespace) -> None:
    _credentials(target).delete(arguments.id)
    print(f"{arguments.id} is deleted; it stops working within a minute")


def rotate_token_key(target: Target, _: argparse.Namespace) -> None:
    manager = target.session.client("secretsmanager", config=CONFIG)
    version = manager.put_secret_value(SecretId=target.token_keys, SecretString=secrets.token_urlsafe(48))["VersionId"]
    print(f"New tokens are signed with key {version} within five minutes; those of the previous key stay valid")


def _time_zone(target: Target, arguments: argparse.Namespace) -> None:
    try:
        target.logs(arguments.project).set_time_zone(arguments.zone)
    except ValueError as error:
        arguments.wrong(str(error))
    print(f"New logs of {arguments.project} have the time zone {arguments.zone}")


def _rebuild(target: Target, arguments: argparse.Namespace) -> None:
    found = [arguments.project] if arguments.project else target.projects_with_objects()
    counts = Counter[str]()
    for project in found:
        for each in Rebuilding(target.logs(project), writes=arguments.yes).run():
            counts[each.outcome] += 1
            counts["bytes lost"] += each.lost
            if arguments.json:
                print(json.dumps({"project": project, **each._asdict()}), flush=True)
            elif each.outcome is not Outcome.SAME or each.lost:
                print(f"{each.outcome:<8}  {project}  {each.log_id}  {each.end} bytes  {each.why}".rstrip())
    if not arguments.json:
        print(", ".join(f"{count} {name}" for name, count in counts.items() if count) or "No project has objects")
        if not arguments.yes:
            print("With --yes, this is done")


def _session(arguments: argparse.Namespace) -> boto3.Session:
    if arguments.local:
        arguments.wrong("it is about stacks on AWS, not about the service of make run")
    return boto3.Session(profile_name=arguments.profile, region_name=arguments.region)


def _kept(arguments: argparse.Namespace) -> None:
    stack = arguments.stack or default_stack()
    kinds = types(Template.load())
    if not (found := kept(_session(arguments), stack)):
        print(f"Nothing is kept of stacks that were called {stack}")
    for resource, names in found.items():
        for name in names:
            print(f"{resource}  {name}", *removal(kinds[resource], name), sep="\n    ")


def _adopt(arguments: argparse.Namespace) -> None:
    stack = arguments.stack or default_stack()
    template = Template.load()
    try:
        given = dict(each.split("=", 1) for each in arguments.names)
    except ValueError:
        arguments.wrong("a name has the form NAME=VALUE")
    parameters = {name: value for name, value in given.items() if name in template.raw["Parameters"]}
    template = replace(template, overrides=parameters)
    resources = {name: value for name, value in given.items() if name not in parameters}
    session = _session(arguments)
    names = chosen_names(template, kept(session, arguments.source or stack), resources)
    _print_table([["RESOURCE", "NAME"], *([resource, name] for resource, name in names.items())])
    for missing in types(template).keys() - names.keys():
        print(f"{missing} is not among them: make deploy makes an empty one")
    if not arguments.yes:
        print(f"With --yes, stack {stack} is made of them")
        return
    adopt(session, stack, template, names)
    print(f"Stack {stack} has them. Now: make deploy, with the same parameters")


def _cost(target: Target, arguments: argparse.Namespace) -> None:
    costs = costs_of(used(target, arguments.days), stored(target), project_metrics=target.project_metrics)
    if arguments.json:
        _print_json({"days": arguments.days, "projects": [each.document() for each in costs]})
        return
    print(f"Dollars for the last {arguments.days} days by list prices, and for a month of what is stored now\n")
    heads = ["PROJECT", "REQUESTS", *map(str.upper, PARTS), "TOTAL", "STORED MB", "A MONTH"]
    _print_table([heads, *map(_cost_row, costs)], right_from=1)
    print(
        "\nNot included: cold starts, renders by the queue, DynamoDB's storage, backups of tables, the secret, the key"
    )


def _cost_row(cost: Cost) -> list[str]:
    parts = [_dollars(cost.parts[part]) for part in PARTS]
    return [
        cost.project,
        str(cost.requests),
        *parts,
        _dollars(cost.total),
        f"{cost.stored / 1e6:.3f}",
        _dollars(cost.storage),
    ]


def _credentials(target: Target) -> Credentials:
    return Credentials(target.credentials(), target.credentials_key)


def _project(text: str) -> str:
    # /v1/log/… are the paths of CodeArts Build.
    if not is_segment(text) or text in {NO_CALLER, "log"}:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 128 of A-Z a-z 0-9 . _ -, or it is one of . .. - log")
    return text


def _name(text: str) -> str:
    if not 0 < len(text) <= _NAME_MAX or not text.isprintable() or text != text.strip():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not 1 to {_NAME_MAX} printable characters without blanks at its ends"
        )
    return text


def _lifetime(text: str) -> int | None:
    """Seconds, or None for ever."""
    if text == "never":
        return None
    if not (found := re.fullmatch(r"([1-9][0-9]{0,4})([hd])", text, re.ASCII)):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of days or hours such as 90d and 24h nor never")
    return int(found[1]) * _SECONDS[found[2]]


def _days(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
    return int(text)


def _cell(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value or "-")


def _dollars(value: float) -> str:
    return f"{value:,.2f}" if value >= 100 else f"{value:.6f}"


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False))


def _print_table(rows: Sequence[Sequence[str]], right_from: int | None = None) -> None:
    """Print a table. Columns are aligned to the left, those from `right_from` on to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = len(widths) if right_from is None else right_from
    for row in rows:
        cells = zip(row, widths, range(len(row)), strict=True)
        print("  ".join(f"{cell:>{width}}" if n >= right else f"{cell:<{width}}" for cell, width, n in cells).rstrip())


if __name__ == "__main__":
    main()
