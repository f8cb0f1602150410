"""A model's lineage as a graph: what it came from above, what came of it below; each thing leads to its page."""

from collections.abc import Sequence
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.trained_models.lineage_graph import LineageGraph, LineageNode, NodeKind, Presence
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.web.frame import sheet
from raven_scan.web.model_words import MODELS_PATH, name_origin
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 220, 64, 28, 44, 4
_LONGEST_NAME = 26
_PATHS = {
    NodeKind.TRAINED_MODEL: MODELS_PATH,
    NodeKind.TRAINING_RUN: "/training-runs",
    NodeKind.DATASET_VERSION: "/datasets",
}
_KINDS = {
    NodeKind.TRAINED_MODEL: "Trained model",
    NodeKind.TRAINING_RUN: "Training run",
    NodeKind.DATASET_VERSION: "Dataset",
}
_PRESENCES = {
    Presence.IN_TRASH: "in the trash",
    Presence.DELETED: "deleted",
    Presence.ELSEWHERE: "elsewhere",
}


async def show_lineage(viewer: Viewer, services: Services, model: TrainedModelView, _: PageArguments) -> None:
    t = viewer.texts
    graph = await viewer.ask(services.lineage.get_lineage, str(model.id))
    with sheet(t("Where it comes from, and what came of it")):
        ui.html(draw_graph(graph, t), sanitize=False).classes("scroll lineage").props("tabindex=0")
        if graph.is_cut:
            ui.label(t("There are more descendants than are shown.")).classes("muted small")


def draw_graph(graph: LineageGraph, t: Texts) -> str:
    """As SVG in layers: everything is below what led to it. Names are escaped, and cut where they are long."""
    rows = _lay_out(graph)
    widest = max((len(row) for row in rows), default=1)
    width = 2 * _MARGIN + widest * _WIDTH + (widest - 1) * _GAP_X
    height = 2 * _MARGIN + len(rows) * _HEIGHT + (len(rows) - 1) * _GAP_Y
    places: dict[str, tuple[float, float]] = {}
    for level, row in enumerate(rows):
        own = len(row) * _WIDTH + (len(row) - 1) * _GAP_X
        left = (width - own) / 2
        for number, node in enumerate(row):
            places[node.id] = (left + number * (_WIDTH + _GAP_X), _MARGIN + level * (_HEIGHT + _GAP_Y))
    edges = "".join(
        _draw_edge(places[edge.source], places[edge.target])
        for edge in graph.edges
        if edge.source in places and edge.target in places
    )
    nodes = "".join(_draw_node(node, places[node.id], t) for row in rows for node in row)
    label = escape(t("Lineage, from what came first to what came last"))
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" role="group" '
        f'aria-label="{label}"><defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8Z" /></marker></defs>{edges}{nodes}</svg>'
    )


def _lay_out(graph: LineageGraph) -> list[list[LineageNode]]:
    """Rows of nodes: each as far down as the longest way to it, a dataset just above the run that learned from it."""
    levels = {node.id: 0 for node in graph.nodes}
    # Nodes are told with what was before first, so once through them all is enough.
    place = {node.id: number for number, node in enumerate(graph.nodes)}
    for edge in sorted(graph.edges, key=lambda edge: place[edge.target]):
        levels[edge.target] = max(levels[edge.target], levels[edge.source] + 1)
    entered = {edge.target for edge in graph.edges}
    for node in graph.nodes:
        below = [levels[edge.target] for edge in graph.edges if edge.source == node.id]
        if node.id not in entered and below:
            levels[node.id] = min(below) - 1
    rows: list[list[LineageNode]] = [[] for _ in range(max(levels.values(), default=0) + 1)]
    for node in graph.nodes:
        rows[levels[node.id]].append(node)
    return [row for row in rows if row]


def _draw_edge(source: tuple[float, float], target: tuple[float, float]) -> str:
    x, y = source[0] + _WIDTH / 2, source[1] + _HEIGHT
    to_x, to_y = target[0] + _WIDTH / 2, target[1] - 2
    bend = (to_y - y) / 2
    return (
        f'<path class="edge" marker-end="url(#arrow)" '
        f'd="M{x:.0f} {y:.0f} C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y:.0f}" />'
    )


def _draw_node(node: LineageNode, place: tuple[float, float], t: Texts) -> str:
    x, y = place
    kinds = [str(node.kind).replace("_", "-")]
    kinds += ["subject"] if node.is_subject else []
    kinds += ["gone"] if node.presence in {Presence.DELETED, Presence.IN_TRASH, Presence.ELSEWHERE} else []
    about = _describe(node, t)
    whole = ", ".join([t(_KINDS[node.kind]), node.name, *about])
    radius = 32 if node.kind is NodeKind.TRAINING_RUN else 8
    drawn = (
        f'<g class="node {" ".join(kinds)}" transform="translate({x:.0f} {y:.0f})">'
        f"<title>{escape(whole)}</title>"
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="{radius}" />'
        f'<text class="name" x="{_WIDTH / 2:.0f}" y="27">{escape(_cut(node.name))}</text>'
        f'<text class="about" x="{_WIDTH / 2:.0f}" y="46">{escape(_cut(" · ".join(about), 34))}</text></g>'
    )
    if node.ref is None or node.presence is not Presence.THERE or node.is_subject:
        return drawn
    path = f"{_PATHS[node.kind]}/{node.ref}"
    return f'<a href="{path}" aria-label="{escape(whole)}">{drawn}</a>'


def _describe(node: LineageNode, t: Texts) -> Sequence[str]:
    about: list[str] = []
    if node.trained_model is not None:
        about.append(name_origin(node.trained_model.origin, t))
        if node.trained_model.test_map50 is not None:
            about.append(t("mAP50 {value}", value=t.figure(node.trained_model.test_map50)))
        else:
            about.append(node.trained_model.architecture)
    else:
        about.append(t(_KINDS[node.kind]))
    if node.presence in _PRESENCES:
        about.append(t(_PRESENCES[node.presence]))
    return about


def _cut(text: str, longest: int = _LONGEST_NAME) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
