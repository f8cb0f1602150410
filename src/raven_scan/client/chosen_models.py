"""Which trained models a list has, and in what order."""

from collections.abc import Sequence
from typing import Any, TypedDict


class ModelsChosen(TypedDict, total=False):
    """All that is said is true of a model that is listed.

    Attributes:
        search: words, or their beginnings, of name, notes, architecture, dataset, base model or run.
        origin: imported, trained or builtin; one, or any of several.
        stage: candidate or published.
        architecture: name.
        dataset_version: name@version or id.
        base_model: name or id.
        training_run: name or id.
        class_name: models that know this class.
        sort: name, created_at, test_map50 or size; with `-` before it from the highest to the lowest. Newest first,
            where it is not said.
    """

    search: str | None
    origin: str | Sequence[str] | None
    stage: str | None
    architecture: str | None
    dataset_version: str | None
    base_model: str | None
    training_run: str | None
    class_name: str | None
    sort: str | None


def describe_chosen_models(chosen: ModelsChosen) -> dict[str, Any]:
    """As the query of a request."""
    names = {"search": "q", "class_name": "class"}
    return {names.get(name, name): value for name, value in chosen.items()}
