"""How `humus dlq` prints what it found and did."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from humus.cli._exit import ExitCode
from humus.cli._letter_summary import Summary
from humus.cli._output import note, out, print_json, table_console
from humus.cli._render import printable, table
from humus.cli._replay import Done
from humus.cli._replay_plan import Plan

__all__ = ["print_end", "print_list", "print_plan", "print_summary"]

_LINE_LIMIT: Final = 80


def print_list(rows: Sequence[Mapping[str, Any]]) -> None:
    columns = ("PARTITION", "OFFSET", "TIME", "SOURCE", "EXCEPTION", "ATTEMPTS", "REPLAYS", "STATE", "MESSAGE")
    cells = [
        (
            row["partition"],
            row["offset"],
            row["time"],
            row["topic"] and f"{row['topic']}[{row['original_partition']}]@{row['original_offset']}",
            row["exception"],
            row["attempts"],
            row["replays"],
            "replayed" if row["replayed"] else "waits",
            (row["message"] or "")[:_LINE_LIMIT],
        )
        for row in rows
    ]
    table_console().print(table(columns, cells))


def print_summary(topic: str, summary: Summary) -> None:
    columns = ("LETTERS", "REPLAYED", "FAILED AGAIN", "EXCEPTION", "SOURCE", "FIRST", "LAST")
    cells = [
        (
            row["letters"],
            row["replayed"],
            row["failed_again"],
            row["exception"],
            None if row["topic"] is None else f"{row['topic']}[{row['partition']}]",
            row["first"],
            row["last"],
        )
        for row in summary.rows()
    ]
    table_console().print(table(columns, cells))
    total = summary.total
    out(f"{printable(topic)}: {_count(total.letters)}, {total.replayed:,} replayed")


def print_plan(plan: Plan, topic: str) -> None:
    out(f"{printable(topic)}: {_count(plan.letters)}, of which {plan.done:,} are replayed already")
    for target, count in sorted(plan.targets.items()):
        out(f"  {count:,} to {printable(target)}")
    others = (
        (plan.copies, "are copies of others, which count as replayed and are not sent"),
        (plan.passed_over, "are passed over and stay for a later replay"),
        (plan.left, "are beyond the limit and stay for a later replay"),
        (sum(count for times, count in plan.again.items() if times), "of those to send were replayed before"),
    )
    for count, what in others:
        if count:
            out(f"  {count:,} {what}")


def print_end(plan: Plan, topic: str, group: str, done: Done, *, execute: bool, json: bool) -> None:
    if json:
        print_json({"topic": topic, "group": group, "executed": execute, **_plan_json(plan), **_done_json(done)})
    elif not execute:
        note("dry run: nothing was replayed; --execute does it")
    else:
        out(f"replayed and confirmed: {_count(done.sent)}")
    if done.vanished:
        note(f"{_count(done.vanished)} deleted from {topic} before their turn: they are not replayed")
    if done.stopped:
        note(f"interrupted: {_count(plan.to_send - done.sent)} not replayed yet; the same command goes on with them")
        raise typer.Exit(ExitCode.INTERRUPTED)


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "letters": plan.letters,
        "already_replayed": plan.done,
        "to_send": plan.to_send,
        "targets": dict(plan.targets),
        "copies": plan.copies,
        "passed_over": plan.passed_over,
        "beyond_limit": plan.left,
        "replayed_before": sum(count for times, count in plan.again.items() if times),
    }


def _done_json(done: Done) -> dict[str, Any]:
    return {"sent": done.sent, "vanished": done.vanished, "interrupted": done.stopped}


def _count(number: int) -> str:
    return "1 letter" if number == 1 else f"{number:,} letters"
