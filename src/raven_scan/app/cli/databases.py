"""`raven db`: the embedded PostgreSQL, and the tables."""

from typing import TYPE_CHECKING, Any

import typer

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import read_settings

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres
    from raven_scan.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The database: start, stop, look, bring its tables up to date.")


@app.command()
def start(as_json: JsonFlag = False) -> None:
    """Start the embedded database and keep it running until `raven db stop`."""
    settings = read_settings()
    _open_embedded(settings).start()
    _show_status(Output(as_json), settings)


@app.command()
def stop(
    force: bool = typer.Option(False, "--force", help="Also while processes use it; they lose it."),
    as_json: JsonFlag = False,
) -> None:
    """Stop the embedded database."""
    settings = read_settings()
    _open_embedded(settings).stop(force=force)
    _show_status(Output(as_json), settings)


@app.command()
def status(as_json: JsonFlag = False) -> None:
    """Show whether the database runs, and who uses it."""
    _show_status(Output(as_json), read_settings())


@app.command()
def upgrade(as_json: JsonFlag = False) -> None:
    """Bring the tables up to date; changes nothing where they are."""
    from raven_scan.app.upkeep_trail import upgrade_tables  # noqa: PLC0415
    from raven_scan.app.wiring import hold_database  # noqa: PLC0415

    with hold_database(read_settings()) as (database, _):
        is_changed = upgrade_tables(database)
    said = "The tables were brought up to date." if is_changed else "The tables are up to date."
    Output(as_json).show({"upgraded": is_changed}, lambda console: console.print(said))


def _open_embedded(settings: "Settings") -> "EmbeddedPostgres":
    from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres  # noqa: PLC0415
    from raven_scan.kernel.errors import Conflict  # noqa: PLC0415

    if settings.database_url is not None:
        raise Conflict(
            "database.is_external",
            "RAVEN_DATABASE_URL names a server that is not ours to start or stop.",
            hint="Unset RAVEN_DATABASE_URL to use the embedded database.",
        )
    return EmbeddedPostgres(settings.home)


def _show_status(output: Output, settings: "Settings") -> None:
    document = _describe_external(settings) if settings.database_url else _describe_embedded(settings)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_facts  # noqa: PLC0415

        holders = document.get("holders", [])
        print_facts(
            console,
            {
                "Database": "embedded" if document["embedded"] else "external",
                "Running": "yes" if document["running"] else "no",
                **({"Process": document["pid"]} if document.get("pid") else {}),
                **({"Folder": document["data_folder"]} if document["embedded"] else {}),
                **({"Log": document["log_file"]} if document["embedded"] else {}),
                **(
                    {
                        "Used by": "\n".join(
                            f"{each['pid']}  since {each['started_at']}  {each['command']}"
                            for each in holders
                        )
                    }
                    if holders
                    else {}
                ),
            },
        )

    output.show(document, render)


def _describe_embedded(settings: "Settings") -> dict[str, Any]:
    now = _open_embedded(settings).status()
    return {
        "embedded": True,
        "running": now.running,
        "pid": now.pid,
        "version": now.version,
        "data_folder": str(now.data_folder),
        "socket_folder": str(now.socket_folder),
        "log_file": str(now.log_file),
        "pinned": now.pinned,
        "size_bytes": now.size_bytes,
        "holders": [
            {"pid": holder.pid, "started_at": holder.started_at, "command": holder.command}
            for holder in now.holders
        ],
    }


def _describe_external(settings: "Settings") -> dict[str, Any]:
    from sqlalchemy import text  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from raven_scan.app.wiring import hold_database  # noqa: PLC0415

    try:
        with hold_database(settings) as (database, _), database.engine.connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
    except SQLAlchemyError:
        return {"embedded": False, "running": False, "version": None}
    return {"embedded": False, "running": True, "version": str(version)}
