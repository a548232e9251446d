"""`chat-client send`, `tail`, and `export`: arguments, work, exit code."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from typing import Any, NoReturn

from chat.client.config.flags import Parser, add_settings
from chat.client.config.logging import start_log
from chat.client.config.paths import ClientPaths
from chat.client.config.settings import load_as, misspelled, with_remembered
from chat.client.exit_codes import ExitCode, NotConfirmed
from chat.client.model.records import OutboxRow
from chat.client.model.search_query import Since, parse_since
from chat.client.network.connector import Refused
from chat.client.platform import event_loop
from chat.client.platform.local_time import local_zone
from chat.client.platform.stdio import accept_any_text, read_lines, read_text
from chat.client.scripting.client import ScriptClient, join_existing
from chat.client.scripting.output import as_json, as_text, write
from chat.client.scripting.read import LogReader, LogReplaced, NoLongerMember
from chat.client.scripting.send import Outgoing, deliver
from chat.client.scripting.settings import HIDDEN_FLAGS, PipeSettings, pipe_flags
from chat.client.storage.account import put_into_outbox
from chat.client.storage.private_files import make_private_directory
from chat.client.storage.tokens import read_token_file
from chat.errors import ChatError, CommandError, StartupError
from chat.program import tell
from chat.protocol.items import Event, Item
from chat.protocol.limits import FOLDED_KINDS
from chat.text import is_builtin, printable

__all__ = ["COMMANDS", "main"]

_STDIN = 0
_NEWEST = 10


def main(argv: Sequence[str]) -> int:
    """Run the command in the first argument; return the exit code."""
    name, *rest = argv
    try:
        return _run(name, rest)
    except StartupError as exc:
        return _report(exc, ExitCode.USAGE)
    except (CommandError, Refused, LogReplaced, NoLongerMember) as exc:
        return _report(exc, ExitCode.REFUSED)
    except NotConfirmed as exc:
        return _report(exc, ExitCode.NOT_CONFIRMED)
    except ChatError as exc:
        return _report(exc, ExitCode.FAULT)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _report(exc: Exception, code: ExitCode) -> ExitCode:
    tell(f"chat-client: {printable(str(exc))}")
    return code


def _run(name: str, rest: Sequence[str]) -> int:
    parser, work = COMMANDS[name]
    flags = vars(parser().parse_intermixed_args(rest))
    known = {key: flags.pop(key) for key in pipe_flags()}
    settings = load_as(PipeSettings, {k: v for k, v in known.items() if v is not None})
    settings = _prepare(settings)
    accept_any_text()
    return event_loop.run(work(settings, argparse.Namespace(**flags)))


def _prepare(settings: PipeSettings) -> PipeSettings:
    """Check data folder, token file, log and name before connecting."""
    for line in misspelled():
        tell(f"chat-client: {line}")
    make_private_directory(settings.data)
    if settings.token_file is not None:
        read_token_file(settings.token_file)
    start_log(settings)
    known = with_remembered(settings)
    if not known.name:
        raise StartupError("no name given; use --name NAME")
    return known


# send


def _send_parser() -> Parser:
    parser = _parser(
        "send",
        "Send a message; with exit code 0, the server has stored it on disk.",
        "chat-client send general 'Hello'",
        "make 2>&1 | chat-client send '#builds' --create",
        "tail -f app.log | chat-client send '#ops' --lines",
    )
    parser.add_argument("text", nargs="*", metavar="TEXT", help="Message (default: standard input)")
    parser.add_argument(
        "--lines", action="store_true", help="Send each line of the input as a message"
    )
    parser.add_argument(
        "--create", action="store_true", help="Create the channel if it does not exist"
    )
    parser.add_argument(
        "--cid",
        default="",
        metavar="ID",
        help="Message ID; a message sent again with the same ID is stored only once",
    )
    parser.add_argument(
        "--queue",
        action="store_true",
        help="Keep an unconfirmed message in the outbox for the next chat-client",
    )
    return parser


async def _send(settings: PipeSettings, asked: argparse.Namespace) -> int:
    if asked.lines and asked.text:
        raise StartupError("--lines reads standard input and takes no TEXT")
    if asked.lines and asked.queue:
        raise StartupError("--queue keeps one message and cannot be used with --lines")
    text = None if asked.lines else " ".join(asked.text) if asked.text else read_text(_STDIN)
    waiting: list[OutboxRow] = []
    try:
        async with ScriptClient.open(settings, settings.timeout) as client:
            outgoing = Outgoing(_channel(client, asked.channel), asked.cid)
            if text is not None:
                waiting.append(outgoing.row(text, 1))
                await deliver(client, waiting[0], may_create=asked.create)
            else:
                await _send_lines(client, outgoing, may_create=asked.create)
    except NotConfirmed as exc:
        if not asked.queue or not waiting:
            raise
        folder = ClientPaths(settings.data).first_account(settings.url, settings.name)
        put_into_outbox(folder, waiting[0])
        return _report(ChatError(f"{exc}; the message is kept in the outbox"), ExitCode.QUEUED)
    return ExitCode.DONE


async def _send_lines(client: ScriptClient, outgoing: Outgoing, *, may_create: bool) -> None:
    """Send each line as it arrives; the timeout only runs while a message is being sent."""
    client.suspend_timeout()
    number = 0
    async for line in read_lines(_STDIN):
        number += 1
        client.restart_timeout()
        await deliver(client, outgoing.row(line, number), may_create=may_create)
        client.suspend_timeout()


# tail and export


def _tail_parser() -> Parser:
    parser = _parser(
        "tail",
        "Print the newest events of a channel; with --follow, print new ones as they arrive.",
        "chat-client tail general -n 20",
        "chat-client tail '#builds' --since 2h --follow --json",
    )
    parser.add_argument(
        "-n", "--count", type=_count, metavar="COUNT", help="Number of events (default: 10)"
    )
    parser.add_argument(
        "--since",
        metavar="WHEN",
        help=(
            "Start after a number (41), at a time (09:30, 2026-11-24T09:30) or a duration "
            "ago (10m, 2h)"
        ),
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="Print new events as they arrive"
    )
    return _with_json(parser)


def _count(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise argparse.ArgumentTypeError(f"{word!r} must be a whole number, 0 or more")
    return int(word)


async def _tail(settings: PipeSettings, asked: argparse.Namespace) -> int:
    if asked.count is not None and asked.since is not None:
        raise StartupError("--count and --since cannot be used together")
    start: Since | int = _NEWEST if asked.count is None else asked.count
    if asked.since is not None:
        try:
            start = parse_since(asked.since, datetime.now(local_zone()))
        except ValueError as exc:
            raise StartupError(f"--since {exc}") from None
    reader = LogReader(_printer(asked.json, _everything))
    async with ScriptClient.open(settings, settings.timeout, reader.take) as client:
        joined = await join_existing(client, _with_log(client, asked.channel))
        await reader.print_from(client, joined, start)
        if asked.follow:
            await reader.follow(client)
    return ExitCode.DONE


def _export_parser() -> Parser:
    return _with_json(
        _parser(
            "export",
            "Print all events of a channel.",
            "chat-client export general --json > general.jsonl",
        )
    )


async def _export(settings: PipeSettings, asked: argparse.Namespace) -> int:
    reader = LogReader(_printer(asked.json, _everything if asked.json else _shown))
    async with ScriptClient.open(settings, settings.timeout) as client:
        joined = await join_existing(client, _with_log(client, asked.channel))
        await reader.print_from(client, joined, Since(seq=0))
    return ExitCode.DONE


def _with_log(client: ScriptClient, word: str) -> str:
    channel = _channel(client, word)
    if is_builtin(channel):
        raise StartupError(f"{channel} has no log: nothing in it is stored")
    return channel


def _channel(client: ScriptClient, word: str) -> str:
    try:
        return client.channel(word)
    except ValueError as exc:
        raise StartupError(f"“{word}” {exc}") from None


def _everything(entry: Item | Event) -> bool:
    return True


def _shown(entry: Item | Event) -> bool:
    return entry.kind not in FOLDED_KINDS


def _printer(
    is_json: bool, fits: Callable[[Item | Event], bool]
) -> Callable[[str, Iterable[Item | Event]], None]:
    render = as_json if is_json else as_text

    def show(channel: str, entries: Iterable[Item | Event]) -> None:
        write(render(channel, entry) for entry in entries if fits(entry))

    return show


def _with_json(parser: Parser) -> Parser:
    parser.add_argument("--json", action="store_true", help="Print one JSON object for each event")
    return parser


class _ChannelParser(Parser):
    """A parser whose first argument is a channel."""

    def error(self, message: str) -> NoReturn:
        """Explain a missing channel: the shell took it as a comment."""
        if "required: CHANNEL" in message:
            message = (
                "no channel given. In a shell, # begins a comment: "
                "quote the channel ('#general'), or leave out the #"
            )
        super().error(message)


def _parser(name: str, what: str, *examples: str) -> Parser:
    parser = _ChannelParser(
        prog=f"chat-client {name}",
        usage=f"%(prog)s [options] CHANNEL{' [TEXT ...]' if name == 'send' else ''}",
        description=what,
        examples=examples,
    )
    parser.add_argument(
        "channel",
        metavar="CHANNEL",
        help="Name of the channel: general, or '#general' in quotes, because # begins a comment in "
        "a shell; @name,name for a direct channel",
    )
    add_settings(parser, PipeSettings, pipe_flags(), hidden=HIDDEN_FLAGS)
    return parser


_Work = Callable[[PipeSettings, argparse.Namespace], Coroutine[Any, Any, int]]
COMMANDS: dict[str, tuple[Callable[[], Parser], _Work]] = {
    "send": (_send_parser, _send),
    "tail": (_tail_parser, _tail),
    "export": (_export_parser, _export),
}
"""Each command's parser and function."""
