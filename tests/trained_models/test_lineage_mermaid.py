"""A lineage as Mermaid."""

import re
import unicodedata
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from raven_scan.trained_models.lineage_graph import (
    LineageEdge,
    LineageGraph,
    LineageNode,
    ModelFacts,
    NodeKind,
    Presence,
    Relation,
)
from raven_scan.trained_models.lineage_mermaid import draw_lineage
from raven_scan.trained_models.types import Origin, Stage

NODE = re.compile(r'    (n\d+)(\[\(|\[|\()"([^"]*)"(\)\]|\]|\))')
EDGE = re.compile(r"    (n\d+) -->\|(base model|dataset|made)\| (n\d+)")
CODE = re.compile(r"#(\d+);")
HOSTILE = (
    '"]; click n0 call(alert)',
    "a`b`",
    "<script>",
    "#quot;",
    "end",
    "1. first",
    "- first",
    "%% note",
    "a|b",
    "\\n",
    "Sperrmüll 垃圾",
)
NAMES = st.one_of(
    st.sampled_from(HOSTILE), st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable())
)


def make_node(number: int, kind: NodeKind, name: str) -> LineageNode:
    facts = ModelFacts(
        origin=Origin.TRAINED,
        stage=Stage.CANDIDATE,
        architecture="yolox-nano",
        checkpoint=None,
        weights_digest=None,
        configuration_digest=None,
        test_map50=0.5,
        created_by="me",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return LineageNode(
        id=f"{kind}:{number}",
        kind=kind,
        ref=UUID(int=number),
        name=name,
        presence=Presence.THERE,
        is_subject=number == 2,
        trained_model=facts if kind is NodeKind.TRAINED_MODEL else None,
    )


@given(st.tuples(NAMES, NAMES, NAMES))
def test_no_name_is_taken_for_syntax(names: tuple[str, str, str]):
    kinds = (NodeKind.DATASET_VERSION, NodeKind.TRAINING_RUN, NodeKind.TRAINED_MODEL)
    nodes = [
        make_node(number, kind, name) for number, (kind, name) in enumerate(zip(kinds, names, strict=True))
    ]
    edges = [
        LineageEdge(nodes[0].id, nodes[1].id, Relation.DATASET_VERSION),
        LineageEdge(nodes[1].id, nodes[2].id, Relation.MADE),
    ]
    lines = draw_lineage(LineageGraph(nodes=nodes, edges=edges)).splitlines()
    assert lines[0] == "flowchart TD"
    for line, name in zip(lines[1:4], names, strict=True):
        found = NODE.fullmatch(line)
        assert found, line
        label = found[3].split("<br/>")[0]
        bare = CODE.sub("", label)
        # What is left stands for itself wherever it is.
        assert all(character in " .,:+-_/=()" or is_letter_or_number(character) for character in bare)
        assert not re.match(r"[-+]|\d+[.)]", label)
        assert CODE.sub(lambda code: chr(int(code[1])), label) == name
    assert all(EDGE.fullmatch(line) for line in lines[4:6])
    assert lines[6:] == ["    classDef subject stroke-width:3px", "    class n2 subject"]


def is_letter_or_number(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"
