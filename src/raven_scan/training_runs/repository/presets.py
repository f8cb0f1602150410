"""SQL of presets."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from raven_scan.kernel.ids import parse_id
from raven_scan.training_runs.models import TrainingPreset


def find_preset(session: Session, ref: str, *, lock: bool = False) -> TrainingPreset | None:
    """The preset of that id or name."""
    preset_id = parse_id(ref)
    if preset_id is None and not ref.isprintable():
        return None
    query = select(TrainingPreset).where(
        TrainingPreset.id == preset_id if preset_id else TrainingPreset.name == ref
    )
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def list_presets(session: Session) -> Sequence[TrainingPreset]:
    """By name."""
    return session.scalars(select(TrainingPreset).order_by(TrainingPreset.name)).all()
