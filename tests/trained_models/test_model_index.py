"""MMDetection's model index, as it comes with the installed wheel."""

import pytest

from raven_scan.architectures.catalogue import list_architectures
from raven_scan.kernel.errors import Invalid, NotFound
from raven_scan.trained_models.model_index import get_checkpoint, read_index


@pytest.mark.parametrize(
    "architecture", [one for one in list_architectures() if one.pretrained], ids=lambda one: one.name
)
def test_an_architectures_default_is_there_with_digest_and_figures(architecture: object):
    name = getattr(architecture, "name")  # noqa: B009
    checkpoint = get_checkpoint(name)
    assert checkpoint.architecture == name
    assert checkpoint.url.startswith("https://")
    assert checkpoint.url.endswith(f"-{checkpoint.digest_prefix}.pth")
    assert checkpoint.map is not None
    assert 0.2 < checkpoint.map < 0.7
    # By its name in the index it is the same.
    assert get_checkpoint(checkpoint.name) == checkpoint


def test_another_training_of_an_architecture():
    checkpoint = get_checkpoint("faster-rcnn_r50_fpn_1x_coco")
    assert checkpoint.architecture == "faster-rcnn-r50"
    assert checkpoint.map == 0.374


def test_an_architecture_that_borrows_a_configuration_gets_no_foreign_checkpoint():
    assert get_checkpoint("rtmdet_tiny_8xb32-300e_coco").architecture == "rtmdet-tiny"
    with pytest.raises(Invalid) as caught:
        get_checkpoint("rtmdet-lite0")
    assert caught.value.code == "trained_model.no_checkpoint"
    assert "rtmdet-tiny" in caught.value.hint


@pytest.mark.parametrize("base", ["http://127.0.0.1:8/mirror", "http://127.0.0.1:8/mirror/"])
def test_a_mirror_stands_for_scheme_and_host(base: str):
    checkpoint = get_checkpoint("rtmdet-tiny", base)
    assert checkpoint.url == (
        "http://127.0.0.1:8/mirror/mmdetection/v3.0/rtmdet/rtmdet_tiny_8xb32-300e_coco/"
        "rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth"
    )


def test_in_the_index_but_not_ours():
    with pytest.raises(Invalid) as caught:
        get_checkpoint("mask-rcnn_r50_fpn_1x_coco")
    assert caught.value.code == "trained_model.not_buildable"


def test_ours_but_never_published():
    with pytest.raises(Invalid) as caught:
        get_checkpoint("dino-4scale_r50_8xb2-24e_coco")
    assert caught.value.code in {"trained_model.no_checkpoint", "trained_model.not_buildable"}


@pytest.mark.parametrize("name", ["rtmdet_tiny", "", "../../etc/passwd", "x" * 5000, "\0", "\ud800"])
def test_unknown(name: str):
    with pytest.raises(NotFound) as caught:
        get_checkpoint(name)
    assert caught.value.code == "trained_model.not_in_index"
    assert len(caught.value.message) < 300
    assert caught.value.hint


def test_every_entry_is_taken_or_refused():
    taken = 0
    for name in read_index():
        try:
            checkpoint = get_checkpoint(name)
        except Invalid:
            continue
        taken += 1
        assert "/" not in checkpoint.file_name
        assert checkpoint.digest_prefix is not None
    assert taken >= 12
