"""``chatglm-server selftest URL``: tries a server, and prints which rules it keeps."""

from __future__ import annotations

import json
import sys

import anyio

from ...engine.upstream.address import upstream_address
from ...errors import BadOption, ModelFileError
from ..commands import SelftestOptions
from ..tables import print_table
from ..wrapped_text import wrapped
from .answer import a_list, a_text, an_object
from .report import RULES, Report, State
from .session import Session
from .trials import TRIALS
from .whole_rules import context_length, models_fault
from .wire import NoAnswer, Server

_SHOWN_FAULTS = 2
_MARKS: dict[State, str] = {"kept": "kept", "broken": "BROKEN", "not seen": "not seen"}


def run_selftest(options: SelftestOptions) -> int:
    """Returns the exit status: 1 if a rule is broken, or if there is no server to try. Raises: BadOption."""
    address = _address(options.url)
    key = options.api_key.get_secret_value() if options.api_key else None
    if key and (not key.isascii() or not key.isprintable()):
        raise BadOption("--api-key: a key has no line breaks or other characters that a header cannot hold")
    report = Report()
    try:
        server = Server(address, key, options.timeout_s)
        model = anyio.run(_try, server, options, report)
    except NoAnswer as error:
        print(f"error: {address}: {error}", file=sys.stderr)
        return 1
    if options.as_json:
        print(_json(address, model, report))
    else:
        _print(address, report)
    return 1 if report.count("broken") else 0


def _address(text: str) -> str:
    """The address before ``/chat/completions``: with ``/v1`` if it has no path. Raises: BadOption."""
    try:
        return upstream_address(text)
    except ModelFileError as error:
        raise BadOption(error.message.replace("--upstream-api-key", "--api-key")) from None


async def _try(server: Server, options: SelftestOptions, report: Report) -> str:
    """Runs all trials. Returns the model that was asked for. Raises: NoAnswer if there is no such server."""
    try:
        reply = await server.get("/models")
        if reply.status in (401, 403):
            raise NoAnswer(f"status {reply.status}: the server asks for a key; give it with --api-key")
        report.judge("models-list", "GET /v1/models", models_fault(reply.value))
        models = [an_object(entry) for entry in a_list(an_object(reply.value).get("data"))]
        model = options.model or a_text(models[0].get("id") if models else None) or "default"
        entry = next((entry for entry in models if entry.get("id") == model), {})
        session = Session(server, model, context_length(entry), report)
        for name, trial in TRIALS.items():
            if not options.as_json:
                print(f"trying {model!r}: {name} …", file=sys.stderr, flush=True)
            await trial(session)
            if not report.verdicts["answered"].kept:
                break  # the server answers nothing: all others would wait as long
        return model
    finally:
        await server.close()


def _print(address: str, report: Report) -> None:
    rows = [("RULE", "", "WHAT IT SAYS")]
    rows += [(rule, _MARKS[report.verdicts[rule].state], text) for rule, text in RULES.items()]
    print_table(rows)
    for rule, verdict in report.verdicts.items():
        for fault in verdict.faults[:_SHOWN_FAULTS]:
            print(f"\n{rule}: {fault}", end="")
        if len(verdict.faults) > _SHOWN_FAULTS:
            print(f"\n{rule}: and {len(verdict.faults) - _SHOWN_FAULTS} more", end="")
    broken, unseen = report.count("broken"), report.count("not seen")
    print(f"\n{report.count('kept')} rules kept, {broken} broken, {unseen} not seen")
    if broken:
        print(
            wrapped(f"chatglm-server --model {address}, in front of this server, mends what can be mended on the way.")
        )
    if unseen:
        print(wrapped("A rule is not seen if no answer had what it is about: a call, several calls, a thought."))


def _json(address: str, model: str, report: Report) -> str:
    rules = {
        rule: {"says": text, "state": report.verdicts[rule].state, "faults": report.verdicts[rule].faults}
        for rule, text in RULES.items()
    }
    return json.dumps(
        {"address": address, "model": model, "conforms": not report.count("broken"), "rules": rules},
        indent=2,
    )
