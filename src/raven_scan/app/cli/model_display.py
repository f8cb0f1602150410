"""How a model looks on a terminal."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.app.cli.output import Output
    from raven_scan.trained_models.schemas import (
        FiguresOut,
        LineageReferenceOut,
        PackageStepOut,
        TrainedModelOut,
    )

_FIGURES = ("map", "map50", "map75", "map_small", "map_medium", "map_large", "precision", "recall", "f1")
_TITLES = ("mAP", "mAP50", "mAP75", "small", "medium", "large", "precision", "recall", "F1")
_MOST_CLASSES = 10


def show_model(output: "Output", model: "TrainedModelOut") -> None:
    """Tells a model: what it is, what it came from, its settings and figures."""

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_facts  # noqa: PLC0415

        print_facts(console, _list_facts(model))
        if model.parameters:
            console.print("\nSettings of its training", style="bold")
            print_facts(console, {name: _describe_value(value) for name, value in model.parameters.items()})
        print_figures(console, model)

    output.show(model.model_dump(mode="json"), render)


def print_figures(console: "Console", model: "TrainedModelOut") -> None:
    """Prints what the model scores on the parts, and by class on the test part."""
    from raven_scan.app.cli.tables import format_figure, print_table  # noqa: PLC0415

    package = model.package
    parts: list[tuple[str, FiguresOut]] = [
        (part, figures)
        for part, figures in (
            ("valid", model.valid),
            ("test", model.test),
            ("valid, elsewhere", package.valid if package else None),
            ("test, elsewhere", package.test if package else None),
        )
        if figures
    ]
    if not parts:
        return
    rows: list[tuple[str, ...]] = [
        (part, *(format_figure(getattr(figures, name)) for name in _FIGURES)) for part, figures in parts
    ]
    if model.test is not None:
        rows += [
            (f"  {class_name}", *(format_figure(figures.get(name)) for name in _FIGURES))
            for class_name, figures in model.test.by_class.items()
        ]
    print_table(console, ("Part", *_TITLES), rows, empty="")


def _list_facts(model: "TrainedModelOut") -> dict[str, Any]:
    from raven_scan.app.cli.tables import format_size  # noqa: PLC0415

    lineage = model.lineage
    facts: dict[str, Any] = {
        "Model": model.name,
        "Notes": model.notes or None,
        "Origin": model.origin,
        "Stage": model.stage,
        "Architecture": model.architecture,
        "Learned from": model.starting_weights,
        "Classes": _describe_classes(model.classes),
        "Parameters": f"{model.parameter_count:,}" if model.parameter_count else None,
        "Weights": format_size(model.weights_size_bytes),
        "Base model": _find_name(lineage.base_model),
        "Dataset": _find_name(lineage.dataset_version),
        "Run": _find_name(lineage.training_run),
        "Made with": _describe_environment(model.environment),
        "Created": model.created_at,
        "By": model.created_by,
    }
    if model.test is not None and model.test.confidence is not None:
        facts["Confidence"] = (
            f"{model.test.confidence:.3f} gives the best F1; precision and recall are told at it"
        )
    if model.leak_allowed:
        facts["Note"] = (
            "Its dataset has identical images in two parts (--allow-leak): the figures flatter it."
        )
    if model.reported is not None:
        facts["Reported mAP"] = f"{model.reported.map:.4g} ({model.reported.source})"
    if model.checkpoint is not None:
        facts.update(_describe_checkpoint(model))
    if model.package is not None:
        facts["Package"] = (
            f"of {model.package.key_name}, signed with {model.package.key_fingerprint};"
            " figures from elsewhere were not measured here"
        )
        facts["Came from"] = "\n".join(_describe_step(step) for step in model.package.models)
    return facts


def _describe_step(step: "PackageStepOut") -> str:
    """A model in the lineage that a package told."""
    came = [name for name in (step.training_run, step.dataset_version, step.checkpoint) if name]
    return f"{step.name} ({step.origin}{': ' if came else ''}{', '.join(came)})"


def _find_name(reference: "LineageReferenceOut | None") -> str | None:
    return None if reference is None else reference.name


def _describe_value(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def _describe_environment(environment: dict[str, str]) -> str | None:
    """The code, the framework and the device; `raven models lineage` and `--json` tell more."""
    names = ("raven-scan", "onedl-mmdetection", "torch")
    parts = [f"{name} {environment[name]}" for name in names if name in environment]
    return ", ".join([*parts, f"on {environment['device']}"] if "device" in environment else parts) or None


def _describe_classes(classes: list[str]) -> str | None:
    if not classes:
        return None
    shown = ", ".join(classes[:_MOST_CLASSES])
    return shown if len(classes) <= _MOST_CLASSES else f"{shown}, … ({len(classes)})"


def _describe_checkpoint(model: "TrainedModelOut") -> dict[str, Any]:
    assert model.checkpoint is not None  # noqa: S101 - the caller looked
    report = model.checkpoint
    others = {
        "missing": len(report.missing),
        "unexpected": len(report.unexpected),
        "of another shape": len(report.mismatched),
    }
    apart = ", ".join(f"{count} {kind}" for kind, count in others.items() if count)
    return {
        "Checkpoint": report.file_name,
        "Tensors": f"{report.matched} fit" + (f"; {apart}" if apart else ""),
    }
