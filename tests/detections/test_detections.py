"""Detecting: with what, for whom, and on which images."""

import os
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image

from raven_scan.access.audit_types import EntryFilter
from raven_scan.access.types import Claim
from raven_scan.app.wiring import Platform
from raven_scan.detections.model_choice import ModelChoice
from raven_scan.detections.types import Detections, ImageFile, WarmModelView
from raven_scan.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from raven_scan.kernel.paging import PageRequest

from .conftest import BATCH_SIZE, CONFIDENCE, ME, MOST_IMAGES, Measured, make_actor


def list_warm(platform: Platform, model: str = "detector") -> list[WarmModelView]:
    return [each for each in platform.detections.list_warm_models(ME) if each.name == model]


def detect(platform: Platform, measured: Measured, model: str = "litter") -> Detections:
    return platform.detections.detect(ME, model, measured.images, min_confidence=0.0, batch_size=BATCH_SIZE)


def test_the_boxes_are_those_of_the_evaluation(platform: Platform, measured: Measured):
    answer = detect(platform, measured)
    document = measured.annotations
    names = {each["id"]: each["name"] for each in document["categories"]}
    assert len(measured.predictions) > 500
    for image, record in zip(answer.images, document["images"], strict=True):
        assert (image.name, image.width, image.height) == (
            record["file_name"],
            record["width"],
            record["height"],
        )
        assert image.exif_orientation == record["exif_orientation"]
        expected = np.array(
            [
                (measured.classes.index(names[each["category_id"]]), each["score"], *each["bbox"])
                for each in measured.predictions
                if each["image_id"] == record["id"]
            ]
        )
        found = np.array(
            [
                (measured.classes.index(box.class_name), box.score, box.x, box.y, box.width, box.height)
                for box in image.boxes
            ]
        )
        # Each box has one that is its own; their order among equal scores says nothing.
        apart = np.abs(expected[:, None] - found[None]).max(axis=2)
        assert len(found) == len(expected)
        assert sorted(apart.argmin(axis=1)) == list(range(len(found)))
        assert apart.min(axis=1).max() < 1e-4
        assert [box.score for box in image.boxes] == sorted((box.score for box in image.boxes), reverse=True)


def test_the_answer_names_its_model(platform: Platform, measured: Measured):
    model = platform.trained_models.get_model(ME, "detector")
    for ref in ("litter", "litter@1"):
        answering = detect(platform, measured, ref).model
        assert (answering.id, answering.name) == (model.id, "detector")
        assert (answering.published_name, answering.version) == ("litter", 1)
    for ref in ("detector", str(model.id)):
        answering = detect(platform, measured, ref).model
        assert (answering.id, answering.published_name, answering.version) == (model.id, None, None)


def test_a_second_call_does_not_load_the_model_again(platform: Platform, measured: Measured):
    detect(platform, measured)
    (before,) = list_warm(platform)
    stages: set[str] = set()

    def note(stage: str, done: int, total: int) -> None:
        del done, total
        stages.add(stage)

    platform.detections.detect(ME, "litter", measured.images, progress=note)
    (after,) = list_warm(platform)
    assert after.process_id == before.process_id
    assert after.request_count == before.request_count + 1
    assert stages == {"images"}


def test_boxes_of_less_confidence_are_left_out(platform: Platform, measured: Measured):
    everything = detect(platform, measured)
    usual = platform.detections.detect(ME, "litter", measured.images, batch_size=BATCH_SIZE)
    assert usual.min_confidence == CONFIDENCE
    scores = [box.score for image in everything.images for box in image.boxes]
    kept = [box.score for image in usual.images for box in image.boxes]
    assert 0 < len(kept) < len(scores)
    assert kept == pytest.approx([score for score in scores if score >= CONFIDENCE], abs=1e-6)


def test_a_process_that_is_killed_in_a_request_is_replaced(platform: Platform, measured: Measured):
    detect(platform, measured)
    (before,) = list_warm(platform)
    is_killed = threading.Event()

    def kill(stage: str, done: int, total: int) -> None:
        del stage, total
        if done and not is_killed.is_set():
            is_killed.set()
            os.kill(before.process_id, 9)

    images = measured.images * 3
    answer = platform.detections.detect(ME, "litter", images, batch_size=1, progress=kill)
    assert is_killed.is_set()
    assert [image.name for image in answer.images] == [image.name for image in images]
    (after,) = list_warm(platform)
    assert after.process_id != before.process_id
    assert not psutil.pid_exists(before.process_id)
    assert detect(platform, measured).images[0].boxes


def enlarge(png: bytes, side: int) -> bytes:
    head = png[12:16] + struct.pack(">II", side, side) + png[24:29]
    return png[:12] + head + struct.pack(">I", zlib.crc32(head)) + png[33:]


def write_broken_images(folder: Path, good: Path) -> dict[str, Path]:
    """Files by the end of the code of what is wrong with them."""
    random = np.random.default_rng(0)
    whole = folder / "whole.jpg"
    Image.fromarray(random.integers(0, 255, (60, 60, 3), np.uint8)).save(whole)
    made = {
        "not_an_image": b"no image at all",
        "truncated": whole.read_bytes()[:-200],
        # Its header says that it is 50,000 x 50,000.
        "too_large": enlarge(good.read_bytes(), 50_000),
    }
    files = {code: folder / f"{code}.png" for code in made}
    for code, content in made.items():
        files[code].write_bytes(content)
    files["unreadable"] = folder / "nowhere.png"
    files["too_much_memory"] = folder / "much.tif"
    tifffile.imwrite(files["too_much_memory"], np.zeros((900, 900, 4), np.uint16), photometric="rgb")
    files["scale_missing"] = folder / "deep.tif"
    tifffile.imwrite(files["scale_missing"], np.zeros((20, 20, 3), np.uint16), photometric="rgb")
    files["too_narrow"] = folder / "line.png"
    Image.new("RGB", (4000, 1)).save(files["too_narrow"])
    os.mkfifo(folder / "pipe.png")
    return files


def test_broken_images_have_their_own_problems(platform: Platform, measured: Measured, tmp_path: Path):
    good = measured.images[0]
    broken = write_broken_images(tmp_path, good.path)
    images = [good, *(ImageFile(path, code) for code, path in broken.items()), good]
    images.insert(2, ImageFile(tmp_path / "pipe.png", "pipe"))
    answer = platform.detections.detect(ME, "litter", images, min_confidence=0.0, batch_size=2)
    assert answer.images[0].boxes
    assert len(answer.images[-1].boxes) == len(answer.images[0].boxes)
    problems = {image.name: image.problem for image in answer.images[1:-1]}
    pipe = problems.pop("pipe")
    assert pipe is not None
    assert pipe.code == "detection.image_unreadable"
    assert {name: problem and problem.code for name, problem in problems.items()} == {
        code: f"detection.image_{code}" for code in broken
    }
    for name, problem in problems.items():
        assert problem is not None
        assert name in problem.message
        assert problem.hint
    (warm,) = list_warm(platform)
    assert psutil.pid_exists(warm.process_id)


@pytest.mark.parametrize("name", ["a\0b.png", "\udcff.png", "x" * 5000])
def test_a_path_that_no_file_can_have_is_a_problem_of_its_own(
    platform: Platform, measured: Measured, tmp_path: Path, name: str
):
    images = [ImageFile(tmp_path / name, name), measured.images[0]]
    answer = platform.detections.detect(ME, "litter", images, min_confidence=0.0)
    assert answer.images[0].problem is not None
    assert answer.images[0].problem.code == "detection.image_unreadable"
    assert answer.images[1].boxes


def test_images_that_do_not_fit_into_the_memory_together_wait_for_each_other(
    platform: Platform, tmp_path: Path
):
    images: list[ImageFile] = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        # 8 MB each while it is decoded, of 10.
        Image.new("RGB", (900, 990), (number, 0, 0)).save(path)
        images.append(ImageFile(path, path.name))
    answer = platform.detections.detect(ME, "litter", images, batch_size=6)
    assert [image.problem for image in answer.images] == [None] * 6


def test_callers_at_once_are_all_answered(platform: Platform, measured: Measured):
    expected = detect(platform, measured)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: detect(platform, measured), range(4)))
    assert answers == [expected] * 4


def test_who_may_detect_with_what(platform: Platform, measured: Measured):
    def ask(model: str, *claims: Claim) -> Detections:
        return platform.detections.detect(make_actor(*claims), model, measured.images[:1])

    # Neither the model nor its dataset has to be seen by who detects with it.
    assert ask("litter", Claim.DETECTION_CREATE).model.name == "detector"
    with pytest.raises(Forbidden) as forbidden:
        ask("litter", Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_REVIEW)
    assert forbidden.value.code == "access.claim_missing"
    with pytest.raises(Forbidden) as forbidden:
        ask("detector", Claim.DETECTION_CREATE, Claim.TRAINED_MODEL_VIEW)
    assert forbidden.value.code == "detection.model_not_published"
    for model in ("detector", "nothing", "litter@2", "litter@x", "", "\0"):
        with pytest.raises(NotFound):
            ask(model, Claim.DETECTION_CREATE)
    reviewed = ask("detector", Claim.DETECTION_CREATE, Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_REVIEW)
    assert (reviewed.model.name, reviewed.model.version) == ("detector", None)
    with pytest.raises(Invalid) as invalid:
        platform.detections.detect(ME, "yolox-nano", measured.images)
    assert invalid.value.code == "detection.model_without_weights"


def test_what_was_withdrawn_detects_no_more(platform: Platform, measured: Measured):
    platform.publishing.publish(ME, "unmeasured", name="old-litter", override="It is a test.")
    platform.publishing.withdraw(ME, "old-litter", reason="It is a test.")
    with pytest.raises(Conflict) as raised:
        platform.detections.detect(ME, "old-litter", measured.images[:1])
    assert raised.value.code == "published_model.withdrawn"


def test_a_model_that_nobody_measured_is_asked_for_a_confidence_that_most_do_well_at(platform: Platform):
    choice = ModelChoice(
        platform.publishing, platform.trained_models, platform.datasets, platform.evaluations
    )
    assert choice.choose(ME, "unmeasured").confidence == 0.3
    assert choice.choose(ME, "litter").confidence == CONFIDENCE


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"images": []}, "detection.bad_request"),
        ({"images": [ImageFile(Path("/x"), "x")] * (MOST_IMAGES + 1)}, "detection.too_many_images"),
        ({"min_confidence": 1.5}, "detection.bad_request"),
        ({"min_confidence": float("nan")}, "detection.bad_request"),
        ({"batch_size": 0}, "detection.bad_request"),
        ({"device": "cuda:77"}, "detection.no_such_device"),
    ],
)
def test_what_cannot_be_asked_is_refused(platform: Platform, changed: dict[str, object], code: str):
    given: dict[str, object] = {"images": [ImageFile(Path("/x"), "x")], **changed}
    with pytest.raises(Invalid) as raised:
        platform.detections.detect(ME, "litter", **given)  # pyright: ignore[reportArgumentType]
    assert raised.value.code == code


def test_every_call_is_in_the_audit_trail_without_the_images_names(platform: Platform, measured: Measured):
    platform.detections.detect(ME, "litter", measured.images)
    entries = platform.audit.list_entries(ME, PageRequest(limit=1), EntryFilter(action="detection."))
    (entry,) = entries.items
    assert entry.action == "detection.created"
    assert (entry.target.kind, entry.target.name) == ("trained_model", "detector")
    assert entry.details == {"published": "litter", "version": 1, "image_count": 6}


def test_no_image_and_no_folder_is_left(platform: Platform, measured: Measured):
    detect(platform, measured)
    with platform.detections.open_folder(ME) as folder:
        (folder / "image").write_bytes(b"x")
    left = [path.name for path in platform.settings.work_folder.iterdir() if not path.name.endswith(".lock")]
    # Those of processes that are ready.
    assert all(name.startswith("prediction-") for name in left)
    assert len(left) == len(platform.detections.list_warm_models(ME))
