"""`python -m gateway.prompts push|pull|diff DIR`: prompts as files, against a running gateway.

It says 0 where all went well and nothing differs, 1 where something differs or was kept, and 2 where something is wrong.
"""

import argparse
import os
import sys
from pathlib import Path

from gateway.domain.prompts import PRODUCTION
from gateway.prompts.client import Client, ClientFault
from gateway.prompts.client_commands import Wishes, diff, pull, push
from gateway.prompts.client_folder import FolderFault
from gateway.prompts.files import FORMS

FAULT = 2
KEY = "GATEWAY_ADMIN_KEY"
_COMMANDS = {"push": push, "pull": pull, "diff": diff}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    asked = _parser().parse_args(arguments)
    try:
        client = Client(asked.url, _key(asked), asked.tenant)
        wishes = Wishes(
            folder=asked.folder,
            label=asked.label,
            note=getattr(asked, "note", ""),
            form=getattr(asked, "format", FORMS[0]),
            force=getattr(asked, "force", False),
            dry_run=getattr(asked, "dry_run", False),
            colour=sys.stdout.isatty(),
        )
        return _COMMANDS[asked.command](client, wishes, _say)
    except FolderFault as exc:
        sys.stderr.write("\n".join([*exc.faults, "Nothing was sent or written: mend these first.", ""]))
    except (ClientFault, OSError) as exc:
        sys.stderr.write(f"{exc}\n")
    return FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gateway.prompts", description="Prompts as files, against a running gateway.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, does in (
        ("push", "make versions of what the files say"),
        ("pull", "write the gateway's prompts as files"),
        ("diff", "show where they differ"),
    ):
        command = commands.add_parser(name, help=does, description=does)
        command.add_argument("folder", type=Path, metavar="DIR", help="where the files are: NAME.yaml, NAME.prompty")
        command.add_argument("--url", default="http://127.0.0.1:7071", help="of the gateway (%(default)s)")
        command.add_argument("--key", default="", help=f"an administrator's; better in {KEY}, where no list of processes shows it")
        command.add_argument("--key-file", type=Path, help="a file that holds it")
        command.add_argument("--tenant", default="", help="whose prompts; without one the key's own, or the shared ones")
        if name == "push":
            command.add_argument("--label", default="", help="to put on what the files say, such as staging")
            command.add_argument("--note", default="", help="why the new versions are made")
        else:
            usual = PRODUCTION if name == "pull" else "latest"
            command.add_argument("--label", default=usual, help="which versions: a label, or latest (%(default)s)")
        if name == "pull":
            command.add_argument("--format", choices=FORMS, default=FORMS[0], help="of files that are new (%(default)s)")
            command.add_argument("--force", action="store_true", help="overwrite files that were changed here")
        if name != "diff":
            command.add_argument("--dry-run", action="store_true", help="change nothing, and say what would be")
    return parser


def _key(asked: argparse.Namespace) -> str:
    if asked.key_file is not None:
        return str(asked.key_file.read_text(encoding="utf-8").strip())
    key = asked.key or os.environ.get(KEY, "")  # noqa: TID251 - a command of an administrator's, not the gateway: it has no settings
    if not key:
        raise ClientFault(f"an administrator's key is needed: in {KEY}, or with --key-file")
    return str(key)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
