"""Publishing and the policy over REST, through the typed client."""

from collections.abc import Generator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.publishing.conftest import ME, Place, World

from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.client import RavenClient
from raven_scan.kernel.errors import Conflict, Invalid, NotFound, Stale
from raven_scan.publishing.policy import DEFAULTS


@pytest.fixture
def app(platform: Platform) -> Any:
    return build_app(platform, token=None, allow_server_paths=False)


@pytest.fixture
def raven(app: Any) -> Generator[RavenClient]:
    with RavenClient.in_process(app) as raven:
        yield raven


def test_a_model_is_tried_published_withdrawn_and_taken_back(raven: RavenClient, world: World, place: Place):
    first = world.add_evaluated("first", place, skill=0.7)
    world.add_evaluated("second", place, skill=0.8)
    check = raven.published.check("first", name="waste")
    assert (check.name, check.number, check.passes, check.dataset) == ("waste", 1, True, "litter@1")
    assert raven.published.list().items == []
    made = raven.published.publish("first", name="waste", notes="The first one.")
    assert (made.number, made.state, made.model_id, made.notes) == (1, "in use", first.id, "The first one.")
    assert [each.requirement for each in made.requirements] == [
        each.requirement for each in check.requirements
    ]
    with pytest.raises(Conflict) as caught:
        raven.published.publish("first", name="waste")
    assert caught.value.code == "published_model.already_published"
    raven.published.publish("second", name="waste")
    found = raven.published.get("waste")
    assert (found.number, found.model, found.last_number) == (2, "second", 2)
    assert found.version is not None
    assert found.version.policy["min_map50"] == DEFAULTS["min_map50"]
    assert raven.published.get(str(found.id)) == found
    assert raven.published.withdraw("waste@2", reason="It sees glass everywhere.").number is None
    assert raven.published.roll_back("waste").number == 1
    page = raven.published.list_versions("waste", limit=1)
    assert [(each.number, each.state, each.withdrawal_reason) for each in page.items] == [
        (2, "withdrawn", "It sees glass everywhere.")
    ]
    rest = raven.published.list_versions("waste", cursor=page.next)
    assert [(each.number, each.state) for each in rest.items] == [(1, "in use")]
    history = raven.published.list_history("waste").items
    assert [each.event for each in history] == ["rolled back", "withdrawn", "published", "published"]
    assert [each.name for each in raven.published.iterate()] == ["waste"]
    with pytest.raises(NotFound):
        raven.published.get("nothing")


def test_a_refusal_has_all_requirements(raven: RavenClient, world: World, place: Place):
    world.add_evaluated("poor", place, skill=0.2)
    with pytest.raises(Conflict) as caught:
        raven.published.publish("poor")
    assert caught.value.code == "published_model.requirements_not_met"
    (unmet,) = [each for each in caught.value.parameters["requirements"] if each["verdict"] != "passed"]
    assert (unmet["requirement"], unmet["wanted"], unmet["verdict"]) == ("min_map50", 0.3, "failed")
    assert unmet["low"] <= unmet["value"] <= unmet["high"]
    assert raven.published.publish("poor", override="A stopgap.").override_reason == "A stopgap."


def test_the_policy_is_read_and_changed(raven: RavenClient, app: Any):
    policy = raven.policy.get()
    assert (policy.version, policy.requirements, policy.defaults) == (0, DEFAULTS, DEFAULTS)
    policy = raven.policy.change({"min_map50": 0.5, "min_recall": {"glass": 0.6}}, version=0)
    assert (policy.version, policy.requirements["min_recall.glass"]) == (1, 0.6)
    with pytest.raises(Stale):
        raven.policy.change({"min_map50": 0.6}, version=0)
    with pytest.raises(Invalid) as caught:
        raven.policy.change({"min_map50": 7, "min_map": 1})
    assert len(caught.value.parameters["problems"]) == 2
    assert raven.policy.change(unset=["min_map50"]).requirements["min_map50"] == DEFAULTS["min_map50"]
    changes = raven.policy.list_changes(limit=1)
    assert [(each.version, each.changes) for each in changes.items] == [
        (2, {"min_map50": [0.5, DEFAULTS["min_map50"]]})
    ]
    assert [each.version for each in raven.policy.list_changes(cursor=changes.next).items] == [1]
    assert changes.items[0].changed_by == ME.name
    with TestClient(app) as client:
        answer = client.get("/api/v1/policy")
        assert answer.headers["ETag"] == '"2"'
        assert client.patch("/api/v1/policy", json={"min_map50": 0.5}).status_code == 422
