"""The quality requirements: keys and bounds, versions, who changed what."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.publishing.conftest import ME, make_actor

from raven_scan.access.audit_types import EntryFilter
from raven_scan.access.types import Claim
from raven_scan.app.wiring import Platform
from raven_scan.kernel.errors import Forbidden, Invalid, Stale
from raven_scan.kernel.paging import PageRequest
from raven_scan.publishing.policy import DEFAULTS, REQUIREMENTS, change_policy, complete_policy

DEFAULT = complete_policy({})


def change(changes: dict[str, Any], *unset: str) -> dict[str, Any]:
    return change_policy(DEFAULT, changes, unset)


def test_values_within_their_bounds():
    assert change({"min_map50": 0})["min_map50"] == 0
    assert change({"min_map50": 1})["min_map50"] == 1
    assert change({"min_map50": False})["min_map50"] is None
    assert change({"min_test_images": 1})["min_test_images"] == 1
    assert change({"require_other_reviewer": True})["require_other_reviewer"] is True
    assert change({"min_recall.a.b=c": 0.5})["min_recall.a.b=c"] == 0.5
    assert change({"min_recall": {"glass": 0.6, "Sperrmüll": 0.7}}) == {
        **DEFAULT,
        "min_recall.glass": 0.6,
        "min_recall.Sperrmüll": 0.7,
    }


def test_classes_are_replaced_as_a_whole_or_one_by_one():
    two = change({"min_recall": {"glass": 0.6, "paper": 0.7}})
    assert change_policy(two, {"min_recall.glass": None}, []) == change({"min_recall.paper": 0.7})
    assert change_policy(two, {}, ["min_recall.glass", "min_recall.wood"]) == change(
        {"min_recall.paper": 0.7}
    )
    assert change_policy(two, {"min_recall": {"wood": 0.1}}, []) == change({"min_recall.wood": 0.1})
    assert change_policy(two, {"min_recall": 0.5}, ["min_map50"]) == {**two, "min_recall": 0.5}
    assert change_policy({**two, "min_map50": 0.9}, {}, ["min_map50"]) == two


@pytest.mark.parametrize(
    "changes",
    [
        {"min_map": 0.5},
        {"": 1},
        {"min_recall.": 0.5},
        {"min_recall.\0": 0.5},
        {"min_recall.\ud800": 0.5},
        {"min_map50": 1.0001},
        {"min_map50": -0.0001},
        {"min_map50": math.nan},
        {"min_map50": True},
        {"min_map50": "0.5"},
        {"min_map50": {"glass": 0.5}},
        {"min_recall": {"glass": 2}},
        {"min_test_images": 0},
        {"min_test_images": 1.5},
        {"min_test_images": 10**9},
        {"require_success": 1},
        {"require_success": None},
        {"max_regression": [0.5]},
    ],
)
def test_one_error_names_all_keys(changes: dict[str, Any]):
    with pytest.raises(Invalid) as caught:
        change({**changes, "min_mop50": 1})
    assert caught.value.code == "policy.bad_requirement"
    assert len(caught.value.parameters["problems"]) == 2
    for key in (*REQUIREMENTS, "min_recall.CLASS"):
        assert key in caught.value.hint


def test_what_is_unset_is_known_too():
    with pytest.raises(Invalid, match="'min_mop50'"):
        change({}, "min_mop50")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=40)
@given(changes=st.dictionaries(st.sampled_from([*REQUIREMENTS, "min_recall.x"]) | st.text(), _JSON))
def test_whatever_is_sent_is_refused_or_within_bounds(changes: dict[str, Any]):
    try:
        after = change(changes)
    except Invalid:
        return
    for key, value in after.items():
        if key.startswith("require"):
            assert isinstance(value, bool)
        elif value is not None:
            assert not isinstance(value, bool)
            assert 0 <= value <= 1 or (key.startswith("min_test") and value >= 1)
    assert change_policy(after, {}, []) == after


def test_each_change_is_kept_with_who_and_when(platform: Platform):
    policy = platform.policy
    first = policy.get_policy(ME)
    assert (first.version, first.requirements, first.changed_by) == (0, DEFAULTS, None)
    editor = make_actor(Claim.TRAINED_MODEL_VIEW, Claim.POLICY_EDIT, name="ann")
    changed = policy.change(editor, {"min_map50": 0.5, "min_recall.glass": 0.6})
    assert (changed.version, changed.changed_by) == (1, "ann")
    assert changed.requirements["min_map50"] == 0.5
    assert policy.change(ME, {"min_map50": 0.5}).version == 1, "nothing is changed"
    assert policy.change(ME, {}, unset=["min_map50", "min_recall.glass"]).requirements == DEFAULTS
    assert policy.get_policy(ME).version == 2
    page = policy.list_changes(ME, PageRequest.parse(1))
    assert [(each.version, each.changed_by) for each in page.items] == [(2, ME.name)]
    assert page.items[0].changes == {
        "min_map50": [0.5, DEFAULTS["min_map50"]],
        "min_recall.glass": [0.6, None],
    }
    rest = policy.list_changes(ME, PageRequest.parse(5, page.next))
    assert [each.version for each in rest.items] == [1]
    entries = platform.audit.list_entries(ME, PageRequest(2), EntryFilter(action="policy.")).items
    assert [(each.action, each.details["version"]) for each in entries] == [
        ("policy.changed", 2),
        ("policy.changed", 1),
    ]


def test_who_may_not_changes_nothing(platform: Platform):
    with pytest.raises(Forbidden):
        platform.policy.change(make_actor(Claim.TRAINED_MODEL_VIEW), {"min_map50": 0.1})
    with pytest.raises(Forbidden):
        platform.policy.get_policy(make_actor())
    with pytest.raises(Invalid):
        platform.policy.change(ME, {"min_map50": 0.1, "min_map": 0.1})
    assert platform.policy.get_policy(ME).version == 0


def test_who_has_read_another_version_changes_nothing(platform: Platform):
    platform.policy.change(ME, {"min_map50": 0.4}, expected=0)
    with pytest.raises(Stale) as caught:
        platform.policy.change(ME, {"min_map50": 0.5}, expected=0)
    assert caught.value.code == "policy.changed_meanwhile"
    assert platform.policy.get_policy(ME).requirements["min_map50"] == 0.4


def test_changes_at_once_are_all_kept(platform: Platform):
    with ThreadPoolExecutor(4) as threads:
        done = list(
            threads.map(lambda n: platform.policy.change(ME, {f"min_recall.c{n}": 0.1}).version, range(6))
        )
    assert sorted(done) == [1, 2, 3, 4, 5, 6]
    classes = [key for key in platform.policy.get_policy(ME).requirements if key.startswith("min_recall.c")]
    assert len(classes) == 6
