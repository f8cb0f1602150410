"""What a campaign attempts, drawn from its seed: which runs, and which blows each of them gets."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.chaos.attempt_watch import AIMED_AT, Phase

from raven_scan.architectures.parameters import Augmentation, TrainingParameters


class Victim(StrEnum):
    WORKER = "worker"
    TRAINER = "trainer"
    MACHINE = "worker and trainer"
    DATABASE = "database"


class Kind(StrEnum):
    KILL = "kill"
    FREEZE = "freeze"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Blow:
    """One thing that happens to a run.

    Attributes:
        lasting_s: of a freeze.
    """

    phase: Phase
    victim: Victim
    kind: Kind
    lasting_s: float = 0.0

    def __str__(self) -> str:
        lasting = f" for {self.lasting_s:.1f} s" if self.lasting_s else ""
        return f"{self.kind} {self.victim}{lasting} at {self.phase}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Runs of one recipe learn the same, however often they are interrupted."""

    name: str
    base_model: str
    parameters: TrainingParameters

    @property
    def is_real(self) -> bool:
        """Whether MMDetection trains it."""
        return self.base_model == "yolox-nano"


@dataclass(frozen=True, slots=True)
class PlannedRun:
    name: str
    recipe: Recipe
    blows: list[Blow] = field(default_factory=list[Blow])


# Checkpoints within epochs: every so many milliseconds. All have at most 20 steps, each of which is told, but the last.
_TINY = TrainingParameters(
    epochs=4, batch_size=4, image_size=320, seed=1, checkpoint_minutes=0.001, loader_processes=0
)
_REAL = TrainingParameters(
    epochs=2,
    batch_size=4,
    image_size=64,
    seed=1,
    warmup_epochs=0,
    augmentation=Augmentation.LIGHT,
    checkpoint_minutes=0.005,
    loader_processes=0,
)
TINY_RECIPES = (
    Recipe("tiny", "rtmdet-tiny", _TINY),
    Recipe("tiny-loaders", "rtmdet-tiny", _TINY.model_copy(update={"loader_processes": 1, "seed": 2})),
    Recipe(
        "tiny-long",
        "rtmdet-tiny",
        _TINY.model_copy(update={"batch_size": 1, "seed": 3, "checkpoint_minutes": 0.005}),
    ),
)
REAL_RECIPES = (
    Recipe("real", "yolox-nano", _REAL),
    Recipe("real-loaders", "yolox-nano", _REAL.model_copy(update={"loader_processes": 1, "seed": 2})),
)
RECIPES = (*TINY_RECIPES, *REAL_RECIPES)

_BLOWS_A_RUN = (1, 1, 1, 1, 2, 2, 2, 3)
_LONGEST_FREEZE_OF_DATABASE_S = 5.0
_SHORT_FREEZE_S = 1.5
_LONG_FREEZE_S = 12.0
"""Longer than the lease and its confirmation, which campaigns shorten: somebody else takes the run over."""


def make_plan(seed: int, *, tiny_runs: int, real_runs: int) -> list[PlannedRun]:
    """The same plan for the same arguments. Every phase is aimed at about equally often."""
    generator = random.Random(seed)  # noqa: S311 - a plan, no secret
    recipes = [TINY_RECIPES[index % len(TINY_RECIPES)] for index in range(tiny_runs)]
    recipes += [REAL_RECIPES[index % len(REAL_RECIPES)] for index in range(real_runs)]
    generator.shuffle(recipes)
    decks = {is_real: _Deck(generator) for is_real in (False, True)}
    return [
        PlannedRun(
            name=f"run-{number:03d}-{recipe.name}",
            recipe=recipe,
            blows=draw_blows(generator, decks[recipe.is_real].draw(generator.choice(_BLOWS_A_RUN))),
        )
        for number, recipe in enumerate(recipes, 1)
    ]


class _Deck:
    """Phases in a random order, each once before any comes again."""

    def __init__(self, generator: random.Random) -> None:
        self._generator = generator
        self._left: list[Phase] = []

    def draw(self, count: int) -> list[Phase]:
        drawn: list[Phase] = []
        for _ in range(count):
            if not self._left:
                self._left = list(AIMED_AT)
                self._generator.shuffle(self._left)
            drawn.append(self._left.pop())
        return drawn


def draw_blows(generator: random.Random, phases: Sequence[Phase]) -> list[Blow]:
    """In the order in which a run comes by its phases."""
    return [_draw_blow(generator, phase) for phase in sorted(phases, key=AIMED_AT.index)]


def _draw_blow(generator: random.Random, phase: Phase) -> Blow:
    has_trainer = phase not in {Phase.LAYOUT, Phase.REGISTRATION}
    victims = [Victim.WORKER, Victim.DATABASE]
    victims += [Victim.TRAINER, Victim.MACHINE] if has_trainer else []
    victim = generator.choice(victims)
    kind = Kind.FREEZE if victim is Victim.MACHINE else generator.choice(list(Kind))
    if kind is not Kind.FREEZE:
        return Blow(phase, victim, kind)
    lasting_s = {
        Victim.WORKER: generator.choice([_SHORT_FREEZE_S, _LONG_FREEZE_S]),
        Victim.TRAINER: generator.choice([_SHORT_FREEZE_S, _LONG_FREEZE_S]),
        Victim.MACHINE: _LONG_FREEZE_S,
        Victim.DATABASE: generator.uniform(0.5, _LONGEST_FREEZE_OF_DATABASE_S),
    }[victim]
    return Blow(phase, victim, kind, round(lasting_s, 1))
