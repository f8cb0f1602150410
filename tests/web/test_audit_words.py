"""The audit trail in words: whatever the code writes into it has some."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import raven_scan
from raven_scan.access.types import Claim
from raven_scan.web.audit_words import (
    ACTION_WORDS,
    DETAIL_WORDS,
    KIND_WORDS,
    describe_details,
    name_action,
    name_kind,
)
from raven_scan.web.claim_words import name_claim
from raven_scan.web.texts import Texts

T = Texts("en", ZoneInfo("UTC"))
SOURCE = Path(raven_scan.__file__).parent
TEXTS = {path: path.read_text() for path in SOURCE.rglob("*.py")}
TREES = {path: ast.parse(text) for path, text in TEXTS.items() if "record" in text}


@dataclass(frozen=True)
class Writer:
    """A function that puts an action into the trail. `prefix`: what it writes before what it is given."""

    name: str
    place: int
    prefix: str = ""
    only_in: Path | None = None


def list_calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """Of a function, or of a method of one's own, of this name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            is_own = isinstance(called, ast.Attribute) and ast.unparse(called.value) == "self"
            if (isinstance(called, ast.Name) and called.id == name) or (
                is_own and isinstance(called, ast.Attribute) and called.attr == name
            ):
                yield node


def list_constants(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp(body=one, orelse=other):
            return [*list_constants(one), *list_constants(other)]
        case _:
            return []


def find_variable(function: ast.FunctionDef, name: str) -> list[str]:
    assigned = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == name for target in node.targets)
    ]
    return [text for each in assigned for text in list_constants(each)]


def find_writers_and_actions() -> tuple[set[str], list[ast.Call]]:
    """All actions, followed through the functions that add a noun to a verb, and all calls that write one."""
    waiting = [Writer("record", 2)]
    actions: set[str] = set()
    calls: list[ast.Call] = []
    while waiting:
        writer = waiting.pop()
        for path, tree in TREES.items():
            if writer.only_in not in {None, path}:
                continue
            for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
                for call in list_calls(function, writer.name):
                    if len(call.args) <= writer.place:
                        continue  # something else of this name
                    given = call.args[writer.place]
                    calls.append(call)
                    told = list_constants(given)
                    prefix = ""
                    if isinstance(given, ast.JoinedStr):
                        noun, verb = given.values
                        assert isinstance(noun, ast.Constant)
                        assert isinstance(verb, ast.FormattedValue)
                        prefix, given = str(noun.value), verb.value
                    if not told and isinstance(given, ast.Name):
                        told = find_variable(function, given.id)
                        names = [each.arg for each in function.args.args if each.arg != "self"]
                        if not told and given.id in names:
                            only_in = path if function.name.startswith("_") else None
                            waiting.append(Writer(function.name, names.index(given.id), prefix, only_in))
                            continue
                    assert told, f"{path}:{call.lineno}: what does it write into the trail?"
                    actions |= {f"{writer.prefix}{each}" for each in told}
    return actions, calls


ACTIONS, CALLS = find_writers_and_actions()


def test_every_action_has_words():
    assert set(ACTION_WORDS) >= ACTIONS  # entries stay that are written no more
    assert {
        "training_run.moved",
        "subscription.tested",
        "database.upgraded",
        "trained_model.imported",
    } <= ACTIONS


def test_every_detail_has_a_name():
    assert {each.arg for call in CALLS for each in call.keywords if each.arg} <= set(DETAIL_WORDS)


def test_every_kind_has_a_name():
    kinds = {action.partition(".")[0] for action in ACTIONS}
    assert kinds - set(KIND_WORDS) == {"access", "backup", "detection", "session"}  # which are done to others


@pytest.mark.parametrize(
    ("details", "said"),
    [
        (
            {"reason": "a <test>", "unmet": ["min_map50"]},
            "Reason: a <test> · Not met: mAP50 on the test part, at least",
        ),
        ({"changes": {"min_test_images": [None, 7]}}, "Images in the test part, at least: Not asked for → 7"),
        (
            {"changes": {"min_recall.bottle": [0.1, None]}},
            "Recall of bottle, at least: 10.0% → Not asked for",
        ),
        ({"changes": {"roles": [["Viewer"], ["Viewer", "Operator"]]}}, "Roles: added Operator"),
        (
            {"changes": {"roles": [["Viewer"], []], "email": [None, "a@b.c"]}},
            "Roles: taken away Viewer; E-mail: \N{EN DASH} → a@b.c",
        ),
        ({"name": {"from": "a", "to": "b"}, "notes": True}, "Name: a → b · Notes"),
        ({"priority": {"from": None, "to": 5}, "dry_run": False}, "Priority: \N{EN DASH} → 5"),
        ({"claims": ["dataset:view"]}, f"May: {name_claim(Claim.DATASET_VIEW, T)}"),
        ({"size_bytes": 5_400_000, "version": 1000}, "Size: 5.4 MB · Version: 1000"),
        (
            {"expires_at": "2026-07-01T12:30:00+00:00"},
            "Valid until: Jul 1, 2026, 12:30:00\N{NARROW NO-BREAK SPACE}PM",
        ),
        ({"recipients": ["mail: sent", "hook: failed"]}, "Recipients: mail: sent, hook: failed"),
        ({"of_the_future": {"a": [1]}}, 'of the future: {"a": [1]}'),
        ({"reason": "", "roles": []}, ""),
    ],
)
def test_details_are_told_in_words(details: dict[str, object], said: str):
    assert describe_details(details, T) == said


def test_what_another_release_wrote_is_named_by_its_key():
    assert name_action("future.done", T) == "future.done"
    assert name_kind("future_thing", T) == "future thing"
