"""`raven trash`: what was deleted, and can be restored."""

from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.asking import confirm
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.client import RavenClient
    from raven_scan.kernel.trash_schemas import TrashItemOut

app = typer.Typer(no_args_is_help=True, help="The trash: what was deleted in the last days.")

_ItemRef = Annotated[
    str, typer.Argument(metavar="ITEM", help="Name or id of what was deleted.", show_default=False)
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_items(
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List what was deleted, last deleted first, and until when it can be restored."""
    with open_raven() as raven:
        page = raven.trash.list(limit=limit, cursor=cursor)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_moment, print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Name", "Kind", "Deleted", "By", "Gone for good", "Id"),
            [
                (
                    item.name,
                    item.kind.replace("_", " "),
                    format_moment(item.deleted_at),
                    item.deleted_by,
                    item.purge_at,
                    item.id,
                )
                for item in page.items
            ],
            empty="The trash is empty.",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def restore(item: _ItemRef, as_json: JsonFlag = False) -> None:
    """Restore something, as it was."""
    with open_raven() as raven:
        found = _find_item(raven, item)
        raven.trash.restore(found.id)
    _show(Output(as_json), "restored", found)


@app.command()
def purge(item: _ItemRef, yes: _Yes = False, as_json: JsonFlag = False) -> None:
    """Remove something for good, now. Its files go with the next daily collection."""
    with open_raven() as raven:
        found = _find_item(raven, item)
        confirm(f"Remove {_describe(found)} for good? It cannot be restored then.", yes=yes)
        raven.trash.purge(found.id)
    _show(Output(as_json), "purged", found)


@app.command()
def empty(yes: _Yes = False, as_json: JsonFlag = False) -> None:
    """Remove everything in the trash for good that you may delete."""
    with open_raven() as raven:
        confirm("Remove everything in the trash for good? Nothing of it can be restored then.", yes=yes)
        result = raven.trash.empty()
    count = sum(result.purged.values())
    Output(as_json).show(
        result.model_dump(mode="json"),
        lambda console: console.print(
            "The trash was empty." if not count else f"{count} things are gone for good."
        ),
    )


def _find_item(raven: "RavenClient", ref: str) -> "TrashItemOut":
    """What has this id, or alone has this name."""
    from raven_scan.kernel.errors import Conflict, NotFound  # noqa: PLC0415

    found = [each for each in raven.trash.iterate() if ref in {str(each.id), each.name}]
    if not found:
        raise NotFound(
            "trash.not_found",
            f"There is nothing called {ref!r} in the trash.",
            hint="`raven trash list` shows what is there.",
            parameters={"ref": ref},
        )
    if len(found) > 1:
        raise Conflict(
            "trash.several",
            f"Several things in the trash are called {ref!r}.",
            hint=f"Say which by its id: {', '.join(f'{each.id} ({each.kind})' for each in found)}.",
            parameters={"ids": [str(each.id) for each in found]},
        )
    return found[0]


def _describe(item: "TrashItemOut") -> str:
    return f"the {item.kind.replace('_', ' ')} {item.name!r}"


def _show(output: Output, verb: str, item: "TrashItemOut") -> None:
    text = _describe(item)
    document = {verb: {"kind": item.kind, "id": str(item.id), "name": item.name}}
    output.show(
        document,
        lambda console: console.print(f"{text[0].upper()}{text[1:]} is {verb}.", markup=False),
    )
