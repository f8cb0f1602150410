"""`raven backup`: create, verify and restore backups."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import read_settings

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.app.housekeeping.backup_folder import Manifest
    from raven_scan.app.housekeeping.backup_restoring import RestoreTarget

app = typer.Typer(
    no_args_is_help=True, help="Backups: the database and the blobs that it names, in a folder."
)

_Folder = Annotated[Path, typer.Argument(help="Folder of the backup.", show_default=False)]


@app.command()
def create(
    path: _Folder,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Also where the storage has lost blobs; it says which.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a backup, while everything goes on. Into the folder of an earlier one, only what is new is copied."""
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415
    from raven_scan.app.housekeeping.backup_creation import create_backup  # noqa: PLC0415
    from raven_scan.app.housekeeping.backup_source import open_source  # noqa: PLC0415

    output = Output(as_json)
    settings = _start()
    with open_source(settings) as source, display_work(output.message_console) as progress:
        made = create_backup(source, path, progress, allow_missing=allow_missing)
    missing = made.manifest.missing_blobs
    if missing:
        output.say(f"{len(missing)} blobs are missing in it; they were lost before.", style="bold yellow")
    document = {
        **_describe(made.folder, made.manifest),
        "copied_blobs": made.copied.count,
        "copied_bytes": made.copied.size_bytes,
        "removed_blobs": made.removed_count,
        "duration_s": round(made.duration_s, 3),
    }
    output.show(document, lambda console: _print_facts(console, document))


@app.command()
def verify(path: _Folder, as_json: JsonFlag = False) -> None:
    """Read every file of a backup, and tell which are not what they were."""
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415
    from raven_scan.app.housekeeping.backup_restoring import verify_backup  # noqa: PLC0415

    output = Output(as_json)
    with display_work(output.message_console) as progress:
        manifest = verify_backup(path, progress)
    document = {**_describe(path.absolute(), manifest), "verified": True}
    output.show(document, lambda console: _print_facts(console, document))


@app.command()
def restore(
    path: _Folder,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Where there is data already: move its tables aside, and ask before."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Restore a backup: into an empty data folder or database, or, with --replace, in place of what is there."""
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415
    from raven_scan.app.housekeeping.backup_restoring import open_restore_target  # noqa: PLC0415

    output = Output(as_json)
    settings = _start()
    with open_restore_target(settings) as target:
        if target.row_counts and replace and not yes:
            _ask(target)
        with display_work(output.message_console) as progress:
            result = target.restore(path, progress, replace=replace)
    document = {
        **_describe(path.absolute(), result.manifest),
        "copied_blobs": result.copied.count,
        "copied_bytes": result.copied.size_bytes,
        "upgraded": result.is_upgraded,
        "earlier_tables": result.aside,
    }
    if result.aside is not None:
        output.say(f"The tables that were there before are in PostgreSQL's schema {result.aside}.")
    output.show(document, lambda console: _print_facts(console, document))


def _start() -> Any:
    from raven_scan.app.log_output import set_up_logging  # noqa: PLC0415

    settings = read_settings()
    set_up_logging("ERROR", secrets=settings.list_secrets())
    return settings


def _ask(target: "RestoreTarget") -> None:
    from raven_scan.kernel.errors import Conflict  # noqa: PLC0415

    counts = dict(target.row_counts)
    counts["trained_models"] = counts.get("trained_models", 0) - target.builtin_model_count
    there = ", ".join(
        f"{counts.get(table, 0)} {name}"
        for table, name in (
            ("datasets", "datasets"),
            ("trained_models", "models"),
            ("training_runs", "training runs"),
        )
    )
    if not sys.stdin.isatty():
        raise Conflict(
            "backup.not_confirmed",
            f"The database has {there}, and nobody is here to be asked.",
            hint="--yes replaces them without asking; they are moved aside.",
        )
    typer.confirm(f"The database has {there}. Move them aside, and restore?", abort=True, err=True)


def _describe(folder: Path, manifest: "Manifest") -> dict[str, Any]:
    return {
        "folder": str(folder),
        "id": manifest.id,
        "created_at": manifest.created_at.isoformat(),
        "release": manifest.release,
        "schema_revision": manifest.schema_revision,
        "postgres_version": manifest.postgres_version,
        "rows": manifest.row_counts,
        "builtin_models": manifest.builtin_model_count,
        "blobs": manifest.blob_count,
        "blob_bytes": manifest.blob_size_bytes,
        "dump_bytes": manifest.dump_size_bytes,
        "missing_blobs": manifest.missing_blobs,
    }


def _print_facts(console: "Console", document: dict[str, Any]) -> None:
    from raven_scan.app.cli.tables import format_size, print_facts  # noqa: PLC0415

    rows = document["rows"]
    facts = {
        "Backup": document["folder"],
        "Made": f"{document['created_at'][:19].replace('T', ' ')} UTC by release {document['release']}",
        "Datasets": rows.get("datasets", 0),
        "Models": rows.get("trained_models", 0) - document["builtin_models"],
        "Training runs": rows.get("training_runs", 0),
        "Database": format_size(document["dump_bytes"]),
        "Blobs": f"{document['blobs']} ({format_size(document['blob_bytes'])})",
    }
    if "copied_blobs" in document:
        facts["Copied"] = f"{document['copied_blobs']} ({format_size(document['copied_bytes'])})"
    if document["missing_blobs"]:
        facts["Missing"] = len(document["missing_blobs"])
    if document.get("verified"):
        facts["Verified"] = "Good: every file is what it was when the backup was made."
    print_facts(console, facts)
