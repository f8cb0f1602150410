"""A lineage as a Mermaid flowchart, for Markdown and for whatever draws it."""

from raven_scan.trained_models.lineage_graph import LineageGraph, LineageNode, NodeKind, Presence, Relation

_PLAIN = frozenset(" .,:+-_/=()")
"""What stands for itself in a label, beside letters and digits."""

_SHAPES = {
    NodeKind.TRAINED_MODEL: ("[", "]"),
    NodeKind.TRAINING_RUN: ("(", ")"),
    NodeKind.DATASET_VERSION: ("[(", ")]"),
}
_WORDS = {
    Relation.BASE_MODEL: "base model",
    Relation.DATASET_VERSION: "dataset",
    Relation.MADE: "made",
    Relation.PACKED: "package",
}
_REMARKS = {
    Presence.THERE: "",
    Presence.IN_TRASH: " (in the trash)",
    Presence.DELETED: " (deleted)",
    Presence.HIDDEN: "",
    Presence.ELSEWHERE: " (elsewhere)",
}
_DIGEST_DIGITS = 12


def draw_lineage(graph: LineageGraph) -> str:
    """The graph as Mermaid's text, ending with a newline.

    Names may hold anything that can be printed: all but letters, digits and a few marks is written as Mermaid's entity
    codes, so that nothing of a name is taken for syntax, Markdown or HTML.
    """
    keys = {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart TD"]
    for node in graph.nodes:
        left, right = _SHAPES[node.kind]
        # Lines of a label are made by HTML's own sign, the one thing that is not escaped.
        label = "<br/>".join(escape_label(line) for line in _describe(node))
        lines.append(f'    {keys[node.id]}{left}"{label}"{right}')
    lines += [
        f"    {keys[edge.source]} -->|{_WORDS[edge.relation]}| {keys[edge.target]}" for edge in graph.edges
    ]
    subjects = [keys[node.id] for node in graph.nodes if node.is_subject]
    gone = [keys[node.id] for node in graph.nodes if node.presence in {Presence.DELETED, Presence.IN_TRASH}]
    if subjects:
        lines += ["    classDef subject stroke-width:3px", f"    class {','.join(subjects)} subject"]
    if gone:
        lines += ["    classDef gone stroke-dasharray:4", f"    class {','.join(gone)} gone"]
    return "\n".join(lines) + "\n"


def escape_label(text: str) -> str:
    """Text as it may stand between double quotes in Mermaid."""
    return "".join(
        character
        if (character.isalnum() or character in _PLAIN) and not _begins_list(text, place)
        else f"#{ord(character)};"
        for place, character in enumerate(text)
    )


def _begins_list(text: str, place: int) -> bool:
    """Whether Markdown, which Mermaid reads in labels, would take the character for a list's."""
    return (place == 0 and text[0] in "-+") or (text[place] in ".)" and text[:place].isdigit())


def _describe(node: LineageNode) -> list[str]:
    lines = [node.name + _REMARKS[node.presence]]
    if node.trained_model is not None:
        facts = node.trained_model
        lines.append(f"{facts.origin}, {facts.architecture}")
        if facts.test_map50 is not None:
            lines.append(f"test mAP50 {facts.test_map50:.3f}")
    elif node.training_run is not None:
        environment = node.training_run.environment
        lines.append(f"seed {node.training_run.parameters.get('seed')}")
        if "raven-scan" in environment:
            lines.append(f"raven-scan {environment['raven-scan']}, {environment.get('device', '')}")
    elif node.dataset_version is not None and node.dataset_version.digest is not None:
        lines.append(f"sha256 {node.dataset_version.digest[:_DIGEST_DIGITS]}")
    return lines
