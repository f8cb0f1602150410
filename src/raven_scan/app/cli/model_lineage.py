"""`raven models lineage` and `verify`."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.exit_codes import DAMAGED
from raven_scan.app.cli.model_upkeep import ModelRef
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.trained_models.lineage_schemas import LineageGraphOut, LineageNodeOut

_DIGEST_DIGITS = 12
_MOST_EDGES_OF_MERMAID = 500
_REMARKS = {
    "in_trash": "in the trash",
    "deleted": "deleted",
    "hidden": "you may not see more",
    "elsewhere": "on another platform",
}
_STYLE_OF_VERDICT = {"good": "green", "damaged": "bold red", "missing": "bold red", "not_checked": "dim"}
_TOLD_OF_ENVIRONMENT = ("raven-scan", "torch", "onedl-mmdetection", "python")


def lineage(
    model: ModelRef,
    mermaid: Annotated[
        bool, typer.Option("--mermaid", help="As a Mermaid flowchart, for Markdown pages.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show where a model comes from and what came of it: base models, runs, datasets, children."""
    if mermaid and as_json:
        raise typer.BadParameter("--mermaid and --json exclude each other.")
    with open_raven() as raven:
        graph = raven.lineage.get(model)
    output = Output(as_json)
    if mermaid:
        sys.stdout.write(_draw_mermaid(graph))
        if len(graph.edges) > _MOST_EDGES_OF_MERMAID:
            output.say(
                f"It has {len(graph.edges)} arrows; Mermaid draws {_MOST_EDGES_OF_MERMAID}, where its maxEdges and "
                "maxTextSize are not set to more.",
                style="yellow",
            )
        return
    output.show(graph.model_dump(mode="json"), lambda console: _print_trees(console, graph))
    if graph.is_cut:
        output.say("It has more descendants than are shown.", style="yellow")


def verify(model: ModelRef, as_json: JsonFlag = False) -> None:
    """Prove from stored digests that a model's weights, configuration and dataset version are what they were.

    Every file is read whole. Ends with exit code 8 where something is damaged or missing.
    """
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

    output = Output(as_json)
    with open_raven() as raven, display_work(output.message_console) as on_progress:
        proof = raven.lineage.verify(model, on_progress=on_progress)

    def render(console: "Console") -> None:
        from rich.text import Text  # noqa: PLC0415

        from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

        print_table(
            console,
            ("Item", "Verdict", "Files", "SHA-256", "What was found"),
            [
                (
                    item.item,
                    Text(item.verdict.replace("_", " "), style=_STYLE_OF_VERDICT[item.verdict]),
                    item.count,
                    item.digest[:_DIGEST_DIGITS] if item.digest else None,
                    item.message,
                )
                for item in proof.items
            ],
            empty="",
        )

    output.show(proof.model_dump(mode="json"), render)
    if proof.is_good:
        return
    for hint in dict.fromkeys(item.hint for item in proof.items if item.hint):
        output.say(hint, style="yellow")
    raise typer.Exit(DAMAGED)


def _draw_mermaid(graph: "LineageGraphOut") -> str:
    import msgspec  # noqa: PLC0415

    from raven_scan.trained_models.lineage_graph import LineageGraph  # noqa: PLC0415
    from raven_scan.trained_models.lineage_mermaid import draw_lineage  # noqa: PLC0415

    return draw_lineage(msgspec.convert(graph.model_dump(mode="json"), LineageGraph))


def _print_trees(console: "Console", graph: "LineageGraphOut") -> None:
    """From each root downwards; what a run learned from is said beside it."""
    from rich.text import Text  # noqa: PLC0415
    from rich.tree import Tree  # noqa: PLC0415

    nodes = {node.id: node for node in graph.nodes}
    learned_from = {
        edge.target: nodes[edge.source] for edge in graph.edges if edge.relation == "dataset_version"
    }
    grows = [edge for edge in graph.edges if edge.relation != "dataset_version"]
    trees: dict[str, Tree] = {}
    for node in graph.nodes:
        if node.kind == "dataset_version":
            continue
        label = Text(style="bold" if node.is_subject else "")
        label.append(_describe(node, learned_from.get(node.id)))
        trees[node.id] = Tree(label)
    below = {edge.target for edge in grows}
    for edge in grows:
        trees[edge.source].children.append(trees[edge.target])
    for id_, tree in trees.items():
        if id_ not in below:
            console.print(tree)


def _describe(node: "LineageNodeOut", version: "LineageNodeOut | None") -> str:
    parts: list[str] = []
    if node.kind == "training_run":
        head = f"run {node.name}"
        if version is not None:
            digest = version.dataset_version.digest if version.dataset_version else None
            sha256 = f" sha256 {digest[:_DIGEST_DIGITS]}" if digest else ""
            parts.append(f"on {version.name}{_remark(version)}{sha256}")
        if node.training_run is not None:
            parts += _describe_training(node.training_run.parameters, node.training_run.environment)
    else:
        head = f"model {node.name}"
        facts = node.trained_model
        if facts is not None:
            parts.append(
                facts.origin if facts.stage in {None, "candidate"} else f"{facts.origin}, {facts.stage}"
            )
            parts.append(facts.architecture)
            parts += [f"from {facts.checkpoint}"] if facts.checkpoint else []
            parts += [f"test mAP50 {facts.test_map50:.3f}"] if facts.test_map50 is not None else []
            parts += [f"sha256 {facts.weights_digest[:_DIGEST_DIGITS]}"] if facts.weights_digest else []
    return f"{head}{_remark(node)}" + (f": {', '.join(parts)}" if parts else "")


def _describe_training(parameters: dict[str, Any], environment: dict[str, str]) -> list[str]:
    parts = [f"{name} {parameters[name]}" for name in ("epochs", "seed") if name in parameters]
    parts += [f"{name} {environment[name]}" for name in _TOLD_OF_ENVIRONMENT if name in environment]
    commit = environment.get("git-commit")
    parts += [f"commit {commit[:_DIGEST_DIGITS]}{' with changes' if '+' in commit else ''}"] if commit else []
    parts += [environment["device"]] if "device" in environment else []
    return parts


def _remark(node: "LineageNodeOut") -> str:
    return f" ({_REMARKS[node.presence]})" if node.presence in _REMARKS else ""
