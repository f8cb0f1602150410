"""How a dataset looks on a terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.app.cli.output import Output
    from raven_scan.datasets.schemas import DatasetOut, DatasetVersionOut


def show_dataset(output: "Output", dataset: "DatasetOut") -> None:
    def render(console: "Console") -> None:
        if dataset.notes:
            output.say(dataset.notes)
        for version in dataset.versions:
            _print_version(console, output, version)
        if dataset.version_count > len(dataset.versions) > 1:
            output.say(
                f"{dataset.version_count - len(dataset.versions)} older versions are not shown.", style="dim"
            )

    output.show(dataset.model_dump(mode="json"), render)


def show_version(output: "Output", version: "DatasetVersionOut") -> None:
    output.show(version.model_dump(mode="json"), lambda console: _print_version(console, output, version))


def _print_version(console: "Console", output: "Output", version: "DatasetVersionOut") -> None:
    from raven_scan.app.cli.tables import format_size, print_facts, print_table  # noqa: PLC0415

    print_facts(
        console,
        {
            "Dataset": f"{version.dataset_name}@{version.number}",
            "Digest": version.digest,
            "Classes": ", ".join(version.classes),
            "Size": format_size(version.image_bytes),
            "Created": version.created_at,
            **(
                {"Note": f"{version.leaked_image_count} images are in two parts (--allow-leak)."}
                if version.leaked_image_count
                else {}
            ),
        },
    )
    print_table(
        console,
        ("Part", "Images", "Boxes", "Without boxes", "Crowds"),
        [
            (name, part.image_count, part.box_count, part.background_count, part.crowd_count)
            for name, part in version.parts.items()
        ],
        empty="",
    )
    for notice in version.warnings:
        times = f" ({notice.count} times)" if notice.count > 1 else ""
        output.say(f"{notice.message}{times}", style="yellow")
