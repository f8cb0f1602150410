"""A model of what names stand for, explored by Hypothesis: stages, versions, going back, in any order.

After every step the database says what the model says: versions are numbered without a gap, a name stands for one
version at most, stages follow from all versions of a model, and the history tells how it came to be.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.publishing.conftest import ME, Place, World, empty

from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.publishing.types import VersionState
from raven_scan.trained_models.types import Stage

PAGE = PageRequest(500)
NAMES = ("waste", "litter")
OFTEN_ONE = st.sampled_from(("waste", "waste", "waste", "litter"))
MODELS = ("one", "two", "three")
WHICH = st.sampled_from((0, 0, 0, 1, 2, 3))


@dataclass
class Expected:
    """What a name stands for. `models`: of the versions, from the first."""

    models: list[str] = field(default_factory=list[str])
    withdrawn: set[int] = field(default_factory=set[int])
    in_use: int | None = None
    last_used: int | None = None
    history: list[tuple[str, int, int | None]] = field(default_factory=list[tuple[str, int, int | None]])

    @property
    def kept(self) -> list[int]:
        return [number for number in range(1, len(self.models) + 1) if number not in self.withdrawn]


class Names(RuleBasedStateMachine):
    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.publishing = self.world.platform.publishing
        self.names = {name: Expected() for name in NAMES}
        self.deleted: set[str] = set()

    @initialize()
    def begin(self) -> None:
        empty(self.world.platform)
        # Nothing here is judged: that has tests of its own.
        self.world.platform.policy.change(
            ME,
            {
                "require_success": False,
                "require_evaluation": False,
                "min_test_images": None,
                "min_test_boxes": None,
                "require_unseen_test": False,
                "min_map50": None,
                "max_regression": None,
            },
        )
        place = Place(make_id(), "litter@1")
        for model in MODELS:
            self.world.add_model(model, place)
        # Most of what may happen needs versions to happen to.
        for model in MODELS:
            self.publish("waste", model)

    def expect(self, code: str | None, call: Any, *arguments: Any, **named: Any) -> None:
        """It is done, or refused with this code."""
        found = None
        try:
            call(ME, *arguments, **named)
        except RavenError as error:
            found = error.code
        assert found == code

    @rule(name=OFTEN_ONE, models=st.lists(st.sampled_from(MODELS), min_size=1, max_size=4))
    def publish_some(self, name: str, models: list[str]) -> None:
        for model in models:
            self.publish(name, model)

    def publish(self, name: str, model: str) -> None:
        it = self.names[name]
        code = None
        if model in self.deleted:
            code = "published_model.model_deleted"
        elif it.in_use and it.models[it.in_use - 1] == model:
            code = "published_model.already_published"
        self.expect(code, self.publishing.publish, model, name=name)
        if code is None:
            it.models.append(model)
            it.history.append(("published", len(it.models), it.in_use))
            it.in_use = it.last_used = len(it.models)

    @rule(name=OFTEN_ONE, number=WHICH)
    def withdraw(self, name: str, number: int) -> None:
        """Of the version in use for number 0."""
        it = self.names[name]
        asked = number or it.in_use
        code = None
        if not it.models:
            code = "published_model.not_found"
        elif asked is None:
            code = "published_model.nothing_in_use"
        elif asked > len(it.models):
            code = "published_model.version_not_found"
        elif asked in it.withdrawn:
            code = "published_model.already_withdrawn"
        self.expect(code, self.publishing.withdraw, f"{name}@{number}" if number else name, reason="x")
        if code is None and asked is not None:
            it.history.append(("withdrawn", asked, it.in_use))
            it.withdrawn.add(asked)
            it.in_use = None if asked == it.in_use else it.in_use

    @rule(name=OFTEN_ONE, number=WHICH)
    def roll_back(self, name: str, number: int) -> None:
        """To the version before for number 0."""
        it = self.names[name]
        earlier = [each for each in it.kept if each < (it.last_used or 0) and each != it.in_use]
        to = number or (earlier[-1] if earlier else 0)
        code = None
        if not it.models:
            code = "published_model.not_found"
        elif not to:
            code = "published_model.no_earlier_version"
        elif to > len(it.models):
            code = "published_model.version_not_found"
        elif to in it.withdrawn:
            code = "published_model.withdrawn"
        elif to == it.in_use:
            code = "published_model.already_in_use"
        self.expect(code, self.publishing.roll_back, name, to=number or None)
        if code is None:
            it.history.append(("rolled back", to, it.in_use))
            it.in_use = it.last_used = to

    @rule(model=st.sampled_from(MODELS))
    def delete(self, model: str) -> None:
        code = None
        if model in self.deleted:
            code = "trained_model.not_found"
        elif any(it.models[number - 1] == model for it in self.names.values() for number in it.kept):
            code = "trained_model.is_published"
        self.expect(code, self.world.platform.model_stewardship.delete, model)
        if code is None:
            self.deleted.add(model)

    @invariant()
    def names_stand_for_what_is_expected(self) -> None:
        for name, it in self.names.items():
            if not it.models:
                self.expect("published_model.not_found", self.publishing.get_name, name)
                continue
            found = self.publishing.get_name(ME, name)
            assert (found.number, found.last_number) == (it.in_use, len(it.models))
            versions = self.publishing.list_versions(ME, name, PAGE).items
            assert [(each.number, each.model) for each in reversed(versions)] == list(enumerate(it.models, 1))
            for each in versions:
                assert each.state is self.find_state(it, each.number)
                code = "published_model.withdrawn" if each.number in it.withdrawn else None
                self.expect(code, self.publishing.resolve, each.full_name)
            history = self.publishing.list_history(ME, name, PAGE).items
            assert [(each.event, each.number, each.from_number) for each in reversed(history)] == it.history
            code = "published_model.withdrawn" if it.in_use is None else None
            self.expect(code, self.publishing.resolve, name)

    @invariant()
    def stages_follow(self) -> None:
        for model in MODELS:
            if model in self.deleted:
                continue
            states = {
                self.find_state(it, number)
                for it in self.names.values()
                for number, each in enumerate(it.models, 1)
                if each == model
            }
            stage = Stage.CANDIDATE
            if VersionState.IN_USE in states:
                stage = Stage.PUBLISHED
            elif VersionState.REPLACED in states:
                stage = Stage.REPLACED
            elif states:
                stage = Stage.WITHDRAWN
            assert self.world.platform.trained_models.get_model(ME, model).stage is stage

    def find_state(self, it: Expected, number: int) -> VersionState:
        if number in it.withdrawn:
            return VersionState.WITHDRAWN
        return VersionState.IN_USE if number == it.in_use else VersionState.REPLACED


def test_whatever_happens_names_stand_for_what_they_should(world: World):
    Names.world = world
    run_state_machine_as_test(
        Names,
        settings=settings(
            max_examples=10,
            stateful_step_count=10,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.filter_too_much,
            ],
        ),
    )
