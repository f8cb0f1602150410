"""`raven keys`: the platform's own key, and those of others whose packages it believes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.asking import confirm
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.packages.schemas import PackageKeyOut

_LARGEST_FILE_BYTES = 8000

app = typer.Typer(no_args_is_help=True, help="Keys of packages: show your own, trust those of others.")


@app.command()
def show(as_json: JsonFlag = False) -> None:
    """Show this platform's public key, to be given to those who are to import its packages."""
    output = Output(as_json)
    with open_raven() as raven:
        key = raven.packages.get_own_key()

    def render(console: "Console") -> None:
        console.print(key.public_key, markup=False, soft_wrap=True)

    output.show(key.model_dump(mode="json"), render)
    output.say(f"Fingerprint, to be compared by telephone or in person: {key.fingerprint}", style="dim")


@app.command()
def trust(
    key: Annotated[
        str, typer.Argument(metavar="FILE|KEY", help="The line ssh-ed25519 …, or a file.", show_default=False)
    ],
    name: Annotated[str, typer.Option("--name", help="Whose it is.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Trust a key: packages that are signed with it can be imported."""
    from raven_scan.packages.signing import find_public_key, make_fingerprint  # noqa: PLC0415

    output = Output(as_json)
    text = _read_key(key)
    found = find_public_key(text)
    if found is not None:
        confirm(f"Trust {name!r} with the fingerprint {make_fingerprint(found)}?", yes=yes)
    with open_raven() as raven:
        trusted = raven.packages.trust_key(text, name=name)
    output.show(
        trusted.model_dump(mode="json"),
        lambda console: console.print(
            f"{trusted.name} is trusted: {trusted.fingerprint}", markup=False, soft_wrap=True
        ),
    )


@app.command("list")
def list_keys(
    sort: Annotated[
        str | None, typer.Option("--sort", help="name or added_at; with - before it, downwards.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the keys that are trusted, and those that were revoked."""
    with open_raven() as raven:
        page = raven.packages.list_keys(limit=limit, cursor=cursor, sort=sort)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_next, print_table  # noqa: PLC0415

        rows = [(key.name, key.fingerprint, _describe_state(key), key.added_at) for key in page.items]
        print_table(console, ("Name", "Fingerprint", "State", "Since"), rows, empty="No keys.")
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Name or id.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Revoke a key: what it signed is refused from now on. Of your own, the next export makes a new one."""
    output = Output(as_json)
    confirm(f"Revoke the key {key!r}?", yes=yes)
    with open_raven() as raven:
        raven.packages.revoke_key(key)
    output.show({"revoked": key}, lambda console: console.print(f"The key {key!r} is revoked.", markup=False))


def _read_key(given: str) -> str:
    if given.startswith(("ssh-", "-----BEGIN")):
        return given
    path = Path(given)
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_FILE_BYTES).decode(errors="replace")
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise typer.BadParameter(
            f"{given[:100]} is no key, and cannot be read as a file: {problem}.", param_hint="FILE|KEY"
        ) from error


def _describe_state(key: "PackageKeyOut") -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at.astimezone():%Y-%m-%d}"
    return "own" if key.is_own else "trusted"
