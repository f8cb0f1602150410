"""`raven policy`, and `raven models publish`, `withdraw`, `rollback` and `published`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.publishing.conftest import World

from raven_scan.app.wiring import Platform

Raven = Callable[..., Any]


@pytest.fixture
def world(platform: Platform, tmp_path: Path) -> World:
    return World(platform, tmp_path)


def test_the_policy_is_shown_set_and_unset(raven: Raven):
    shown = raven("policy", "show").out
    for words in ("min_map50", "0.3", "max_regression", "nobody has changed it"):
        assert words in shown
    said = raven("policy", "set", "min_map50=0.5", "min_recall.a=b=0.6", "min_test_boxes=off", "--json")
    requirements = said.document["requirements"]
    assert (requirements["min_map50"], requirements["min_recall.a=b"]) == (0.5, 0.6)
    assert requirements["min_test_boxes"] is None
    assert raven("policy", "set", 'min_recall={"glass": 0.7}', "require_other_reviewer=on").code == 0
    unset = raven("policy", "unset", "min_map50", "--json").document
    assert (unset["version"], unset["requirements"]["min_map50"]) == (3, 0.3)
    assert "min_recall.a=b" not in unset["requirements"]
    history = raven("policy", "history").out
    for words in ("0.5 -> 0.3", "off -> 0.7", "50 -> off", "off -> on", "local administrator"):
        assert words in history, words
    refused = raven("policy", "set", "min_map50=2", "min_map=0.5")
    assert refused.code == 2
    for words in ("min_map50", "0 to 1", "'min_map'", "require_success", "min_recall.CLASS"):
        assert words in refused.err, words
    assert raven("policy", "set", "min_map50").code == 2
    assert raven("policy", "unset", "min_map").code == 2


def test_a_model_is_published_and_its_reasons_shown(raven: Raven, world: World):
    place = world.add_dataset("litter")
    world.add_evaluated("first", place, skill=0.7)
    world.add_evaluated("second", place, skill=0.8)
    poor = world.add_evaluated("poor", place, skill=0.2)
    refused = raven("models", "publish", "poor")
    assert refused.code == 5
    for words in ("min_map50", "0.3", "failed", "passed", "does not meet 1 of", "0 seen"):
        assert words in refused.err, words
    document = raven("models", "publish", "poor", "--json").document
    assert document["error"]["code"] == "published_model.requirements_not_met"
    tried = raven("models", "publish", "poor", "--check", "--json")
    assert (tried.code, tried.document["passes"]) == (5, False)
    assert raven("models", "publish", "first", "--check").code == 0
    # Nobody sits at this terminal.
    assert "--yes" in raven("models", "publish", "first", "--as", "waste").err
    assert raven("models", "published", "--json").document["items"] == []
    said = raven("models", "publish", "first", "--as", "waste", "--notes", "The first one.", "--yes")
    assert said.code == 0
    assert "'first' is published as waste@1." in said.out
    assert "min_map50" in said.err
    made = raven("models", "publish", "second", "--as", "waste", "--yes", "--json").document
    assert (made["name"], made["number"], made["state"]) == ("waste", 2, "in use")
    assert "waste@2" in raven("models", "published").out
    assert raven("models", "list", "--stage", "published", "--json").document["items"][0]["name"] == "second"
    overridden = raven("models", "publish", str(poor.id), "--override", "A stopgap.", "--yes", "--json")
    assert overridden.document["override_reason"] == "A stopgap."
    assert raven("models", "withdraw", "waste", "--reason", "It sees glass everywhere.").code == 2
    withdrawn = raven("models", "withdraw", "waste", "--reason", "It sees glass everywhere.", "--yes")
    assert withdrawn.code == 0
    assert "waste@2 is withdrawn." in withdrawn.out
    assert raven("models", "delete", "first", "--yes").code == 5
    assert "waste@1 is in use again." in raven("models", "rollback", "waste").out
    assert raven("models", "rollback", "waste", "--to", "2").code == 5
    shown = raven("models", "published", "waste")
    for words in ("version 1 is in use", "waste@2", "withdrawn: It sees glass everywhere.", "rolled back"):
        assert words in shown.out, words
    assert "overriding the policy: A stopgap." in raven("models", "published", "poor").out
