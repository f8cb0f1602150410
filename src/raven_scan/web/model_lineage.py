"""A model's lineage as a graph: what it came from above, what came of it below; each thing leads to its page."""

from collections.abc import Sequence
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.trained_models.lineage_graph import LineageGraph, LineageNode, NodeKind, Presence, Relation
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.web.frame import sheet
from raven_scan.web.model_words import MODELS_PATH, name_origin
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts, later
from raven_scan.web.viewer import Viewer

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN, _BESIDE = 220, 64, 28, 44, 4, 80
_Place = tuple[float, float]
_LONGEST_NAME = 26
_PATHS = {
    NodeKind.TRAINED_MODEL: MODELS_PATH,
    NodeKind.TRAINING_RUN: "/training-runs",
    NodeKind.DATASET_VERSION: "/datasets",
}
_KINDS = {
    NodeKind.TRAINED_MODEL: later("Trained model"),
    NodeKind.TRAINING_RUN: later("Training run"),
    NodeKind.DATASET_VERSION: later("Dataset"),
}
_PRESENCES = {
    Presence.IN_TRASH: later("in the trash"),
    Presence.DELETED: later("deleted"),
    Presence.ELSEWHERE: later("elsewhere"),
}


async def show_lineage(viewer: Viewer, services: Services, model: TrainedModelView, _: PageArguments) -> None:
    t = viewer.texts
    graph = await viewer.ask(services.lineage.get_lineage, str(model.id))
    with sheet(t("Where it comes from, and what came of it")):
        ui.html(draw_graph(graph, t), sanitize=False).classes("scroll lineage").props("tabindex=0")
        if graph.is_cut:
            ui.label(t("There are more descendants than are shown.")).classes("muted small")


def draw_graph(graph: LineageGraph, t: Texts) -> str:
    """As SVG: models and runs below what led to them, datasets beside the runs that learned from them first.

    Names are escaped, and cut where they are long.
    """
    places, width, height = _lay_out(graph)
    drawn = {node.id: node for node in graph.nodes}
    core = [place for id_, place in places.items() if drawn[id_].kind is not NodeKind.DATASET_VERSION]
    edges = "".join(
        _draw_way_beside(places[edge.source], places[edge.target], core)
        if edge.relation is Relation.DATASET_VERSION
        else _draw_way_down(places[edge.source], places[edge.target])
        for edge in graph.edges
        if edge.source in places and edge.target in places
    )
    nodes = "".join(_draw_node(node, places[node.id], t) for node in graph.nodes)
    label = escape(t("Lineage, from what came first to what came last"))
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" role="group" '
        f'aria-label="{label}"><defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8Z" /></marker></defs>{edges}{nodes}</svg>'
    )


def _lay_out(graph: LineageGraph) -> tuple[dict[str, _Place], float, float]:
    """Where each node is, and how large the whole is."""
    core = [node for node in graph.nodes if node.kind is not NodeKind.DATASET_VERSION]
    levels = {node.id: 0 for node in core}
    # Nodes are told with what was before first, so once through them all is enough.
    order = {node.id: number for number, node in enumerate(core)}
    for edge in sorted(graph.edges, key=lambda edge: order.get(edge.target, 0)):
        if edge.source in levels and edge.target in levels:
            levels[edge.target] = max(levels[edge.target], levels[edge.source] + 1)
    rows: list[list[LineageNode]] = [[] for _ in range(max(levels.values(), default=0) + 1)]
    for node in core:
        rows[levels[node.id]].append(node)
    widest = max(map(len, rows))
    core_width = widest * _WIDTH + (widest - 1) * _GAP_X
    places: dict[str, _Place] = {}
    for level, row in enumerate(rows):
        left = _MARGIN + (core_width - len(row) * _WIDTH - (len(row) - 1) * _GAP_X) / 2
        for number, node in enumerate(row):
            places[node.id] = (left + number * (_WIDTH + _GAP_X), _MARGIN + level * (_HEIGHT + _GAP_Y))
    taken: set[int] = set()
    for node in graph.nodes:
        if node.kind is NodeKind.DATASET_VERSION:
            level = min(
                (levels[e.target] for e in graph.edges if e.source == node.id and e.target in levels),
                default=0,
            )
            while level in taken:
                level += 1
            taken.add(level)
            places[node.id] = (_MARGIN + core_width + _BESIDE, _MARGIN + level * (_HEIGHT + _GAP_Y))
    right = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
    bottom = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
    return places, right, bottom


def _draw_way_down(source: _Place, target: _Place) -> str:
    x, y = source[0] + _WIDTH / 2, source[1] + _HEIGHT
    to_x, to_y = target[0] + _WIDTH / 2, target[1] - 2
    bend = (to_y - y) / 2
    return _draw_edge(
        f"M{x:.0f} {y:.0f} C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y:.0f}"
    )


def _draw_way_beside(source: _Place, target: _Place, others: Sequence[_Place]) -> str:
    """To the right side of a run; where another one is in the way, above that one and down."""
    x, y = source[0], source[1] + _HEIGHT / 2
    right = max(place[0] for place in others) + _WIDTH
    if not any(place[1] == target[1] and place[0] > target[0] for place in others):
        to_x, to_y = target[0] + _WIDTH + 2, target[1] + _HEIGHT / 2
        middle = (x + to_x) / 2
        return _draw_edge(
            f"M{x:.0f} {y:.0f} C{middle:.0f} {y:.0f} {middle:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
        )
    to_x, to_y = target[0] + 0.85 * _WIDTH, target[1] - 2
    above = target[1] - _GAP_Y / 2
    return _draw_edge(
        f"M{x:.0f} {y:.0f} C{right:.0f} {y:.0f} {x:.0f} {above:.0f} {right:.0f} {above:.0f} "
        f"H{to_x + 10:.0f} Q{to_x:.0f} {above:.0f} {to_x:.0f} {to_y:.0f}"
    )


def _draw_edge(path: str) -> str:
    return f'<path class="edge" marker-end="url(#arrow)" d="{path}" />'


def _draw_node(node: LineageNode, place: _Place, t: Texts) -> str:
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
