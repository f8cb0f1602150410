"""Detections over REST, by the client and on the command line, of a real server."""

import csv
import io
import json
import logging
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from PIL import Image
from pycocotools.coco import COCO

from raven_scan.app.cli.label_fonts import LabelFonts
from raven_scan.app.cli.program import run
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.client import RavenClient
from raven_scan.detections.schemas import DetectionsOut
from raven_scan.kernel.errors import Invalid, NotFound

from .conftest import BATCH_SIZE, CONFIDENCE, ME, MOST_BYTES, MOST_IMAGES, TOKEN, Measured

PATH = "/api/v1/detections"
Post = Callable[..., httpx.Response]
Raven = Callable[..., Any]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The server logs to the same output that commands speak on."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def http(server: str) -> Generator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=server, headers=headers, timeout=120) as http:
        yield http


@pytest.fixture
def post(http: httpx.Client, measured: Measured) -> Post:
    def send(
        paths: list[Path] | None = None, *, query: str = "", accept: str = "application/json", **fields: str
    ) -> httpx.Response:
        files = [
            ("images", (path.name, path.read_bytes()))
            for path in (measured.paths if paths is None else paths)
        ]
        data = {"model": "litter", "batch_size": str(BATCH_SIZE), **fields}
        return http.post(f"{PATH}{query}", data=data, files=files, headers={"Accept": accept})

    return send


@pytest.fixture
def raven(
    server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("RAVEN_SERVER", server)
    monkeypatch.setenv("RAVEN_TOKEN", TOKEN)

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def count_boxes(measured: Measured, confidence: float) -> int:
    return sum(each["score"] >= confidence for each in measured.predictions)


def test_a_form_is_answered(post: Post, platform: Platform, measured: Measured):
    answer = post()
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found = DetectionsOut.model_validate(answer.json())
    assert json.loads(found.model_dump_json()) == answer.json()
    assert [image.name for image in found.images] == [path.name for path in measured.paths]
    assert found.min_confidence == CONFIDENCE
    assert sum(len(image.boxes) for image in found.images) == count_boxes(measured, CONFIDENCE)
    assert found.model.version == 1
    assert found.classes == measured.classes
    (warm,) = platform.detections.list_warm_models(ME)
    assert warm.request_count > 0


def test_progress_comes_line_by_line(post: Post):
    lines = [json.loads(line) for line in post(accept="application/x-ndjson").text.splitlines()]
    assert lines[-1]["event"] == "done"
    assert {line["event"] for line in lines[:-1]} == {"progress"}
    assert lines[-2] == {"event": "progress", "stage": "images", "done": 6, "total": 6}
    assert lines[-1]["result"] == post().json()
    failed = json.loads(post(accept="application/x-ndjson", model="nothing").text.splitlines()[-1])
    assert failed["error"]["code"] == "published_model.not_found"


def test_coco_and_csv(post: Post, measured: Measured, tmp_path: Path):
    document = post(query="?format=coco", min_confidence="0").json()
    path = tmp_path / "found.json"
    path.write_text(json.dumps(document))
    coco = COCO(str(path))
    assert len(coco.getAnnIds()) == len(measured.predictions)
    assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == measured.classes
    assert document["raven"]["model"]["version"] == 1
    first = next(each for each in document["annotations"] if each["image_id"] == 1)
    assert first["area"] == pytest.approx(first["bbox"][2] * first["bbox"][3])
    for answer in (post(accept="text/csv"), post(query="?format=csv")):
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == count_boxes(measured, CONFIDENCE)
        assert {row["class"] for row in rows} <= set(measured.classes)
        assert {row["published_name"] for row in rows} == {"litter"}


def test_bad_forms_are_refused(post: Post, http: httpx.Client, measured: Measured, tmp_path: Path):
    def refused(answer: httpx.Response, status: int = 422) -> str:
        assert answer.status_code == status, answer.text
        return answer.json()["code"]

    assert refused(post([])) == "detection.bad_request"
    assert refused(post(min_confidence="2")) == "detection.bad_request"
    assert refused(post(unknown="x")) == "detection.bad_request"
    assert refused(post(measured.paths[:1] * (MOST_IMAGES + 1))) == "detection.bad_request"
    large = tmp_path / "large.png"
    large.write_bytes(b"\0" * (MOST_BYTES + 1))
    assert refused(post([large])) == "detection.too_many_bytes"
    assert refused(post(query="?format=xml")) == "request.invalid"
    other = http.post(PATH, files=[("pictures", ("a.png", b"x"))], data={"model": "litter"})
    assert refused(other) == "detection.bad_request"
    assert refused(http.post(PATH, content=b"x", headers={"Content-Type": "image/png"})) == (
        "detection.bad_request"
    )
    torn = {"Content-Type": "multipart/form-data; boundary=x"}
    assert refused(http.post(PATH, content=b"--x\r\nnothing", headers=torn)) == "detection.bad_request"
    given = {"model": "litter", "paths": [str(measured.paths[0])]}
    assert refused(http.post(PATH, json=given), 403) == "detection.paths_not_allowed"
    assert refused(post(model="yolox-nano")) == "detection.model_without_weights"
    assert refused(post(model="nothing"), 404) == "published_model.not_found"


def test_broken_images_are_told_of_beside_the_others(post: Post, measured: Measured, tmp_path: Path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    answer = post([measured.paths[0], broken]).json()
    assert answer["images"][0]["problem"] is None
    assert answer["images"][1]["problem"]["code"] == "detection.image_not_an_image"
    assert answer["images"][1]["boxes"] == []
    document = post([broken, measured.paths[0]], query="?format=coco").json()
    assert [image["id"] for image in document["images"]] == [2]
    assert [each["file_name"] for each in document["raven"]["problems"]] == ["broken.jpg"]


def test_the_client_sends_many_images_in_several_requests(
    server: str, measured: Measured, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("raven_scan.client.image_requests._MOST_IMAGES", 4)
    told: list[tuple[str, int, int]] = []
    with RavenClient(server, TOKEN) as raven:
        raven.detections.detect("litter", measured.paths[:1])
        before = raven.detections.list_warm_models().items
        answer = raven.detections.detect(
            "litter",
            measured.paths,
            min_confidence=0.0,
            batch_size=BATCH_SIZE,
            on_progress=lambda stage, done, total: told.append((stage, done, total)),
        )
        after = raven.detections.list_warm_models().items
        assert [image.name for image in answer.images] == [str(path) for path in measured.paths]
        assert sum(len(image.boxes) for image in answer.images) == len(measured.predictions)
        assert told[-1] == ("images", 6, 6)
        assert [each.process_id for each in after] == [each.process_id for each in before]
        assert [each.request_count for each in after] == [each.request_count + 2 for each in before]
        with pytest.raises(NotFound):
            raven.detections.detect("nothing", measured.paths)
        with pytest.raises(Invalid):
            raven.detections.detect("litter", [])


def test_a_command_shows_boxes_and_writes_them(raven: Raven, measured: Measured, tmp_path: Path):
    part = measured.folder / "part"
    code, out, err = raven("models", "predict", "litter", part)
    assert code == 0, err
    assert "déchets 垃圾" in out
    assert "by litter@1" in err
    code, out, _ = raven("models", "predict", "litter", part / "*.png", part / "2.jpg", "--json")
    assert code == 0
    document = json.loads(out)
    assert [Path(image["name"]).name for image in document["images"]] == [
        *(f"{number}.png" for number in (1, 3, 4, 5, 6)),
        "2.jpg",
    ]
    for name in ("found.json", "found.csv"):
        code, _, err = raven(
            "models", "predict", "litter@1", part, "-o", tmp_path / "new" / name, "--min-confidence", "0"
        )
        assert code == 0, err
    coco = json.loads((tmp_path / "new" / "found.json").read_bytes())
    assert len(coco["annotations"]) == len(measured.predictions)
    # As readers of COCO look for them, wherever the folder is.
    assert coco["raven"]["folder"] == str(part)
    assert {image["file_name"] for image in coco["images"]} == {path.name for path in measured.paths}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "new" / "found.csv").read_text())))
    assert len(rows) == len(measured.predictions)
    code, _, err = raven("models", "predict", "litter", part, "-o", tmp_path / "new" / "found.csv")
    assert (code, "is there already" in err) == (5, True)
    code, out, _ = raven("models", "predict", "litter", part, "--format", "csv")
    assert out.startswith("image,image_width")


def test_a_command_draws_pictures(raven: Raven, measured: Measured, tmp_path: Path):
    part = measured.folder / "part"
    folder = tmp_path / "pictures"
    code, _, err = raven("models", "predict", "litter", part, "--pictures", folder)
    assert code == 0, err
    pictures = {path.name for path in folder.iterdir()}
    assert pictures == {"2.jpg", *(f"{number}.png.jpg" for number in (1, 3, 4, 5, 6))}
    # Upright, as the boxes are.
    with Image.open(folder / "2.jpg") as picture:
        assert picture.size == (96, 128)
    assert raven("models", "predict", "litter", part, "--pictures", folder)[0] == 5
    assert raven("models", "predict", "litter", part, "--pictures", folder, "--force")[0] == 0


def test_a_command_goes_on_where_an_image_is_broken(raven: Raven, measured: Measured, tmp_path: Path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"x")
    code, out, err = raven("models", "predict", "litter", measured.paths[0], broken, "--format", "coco")
    assert code == 1
    assert len(json.loads(out)["images"]) == 1
    assert "broken.png" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere/*.jpg"], "leads to no image"),
        ([".", "-o", "x.txt"], "neither .json nor .csv"),
        ([".", "-o", "x.json", "--format", "table"], "for looking at"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(raven: Raven, arguments: list[str], words: str):
    code, _, err = raven("models", "predict", "litter", *arguments)
    assert (code, words in err) == (2, True)


def test_labels_are_written_in_whatever_script_there_is_a_font_for():
    fonts = LabelFonts(20)
    assert fonts.choose("déchets плёнка σκουπίδια")[1] == "déchets плёнка σκουπίδια"
    # No font has what is for private use.
    assert fonts.choose("a\ue123")[1] == "a\\ue123"


def test_without_a_server_a_process_is_there_for_the_call(
    platform: Platform,
    measured: Measured,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Images are read where they are; one whose name is no text is sent."""
    monkeypatch.delenv("RAVEN_SERVER", raising=False)
    assert platform.settings.database_url is not None
    monkeypatch.setenv("RAVEN_HOME", str(platform.settings.home))
    monkeypatch.setenv("RAVEN_DATABASE_URL", platform.settings.database_url.get_secret_value())
    code = run(["models", "predict", "litter", str(measured.folder / "part"), "--json", "--device", "cpu"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    boxes = sum(len(image["boxes"]) for image in json.loads(captured.out)["images"])
    assert boxes == count_boxes(measured, CONFIDENCE)


@pytest.mark.parametrize("sends", [True, False])
def test_a_name_that_is_no_text_is_shown_with_escapes(
    server: str, platform: Platform, measured: Measured, tmp_path: Path, *, sends: bool
):
    image = tmp_path / os.fsdecode(b"b\xff.png")
    image.write_bytes(measured.paths[0].read_bytes())
    application = build_app(platform, token=None, allow_server_paths=True)
    with RavenClient(server, TOKEN) if sends else RavenClient.in_process(application) as raven:
        answer = raven.detections.detect("litter", [image, measured.paths[0]], min_confidence=0.0)
    assert answer.images[0].name == f"{tmp_path}/b\\udcff.png"
    assert len(answer.images[0].boxes) == len(answer.images[1].boxes) > 0
    json.dumps(answer.model_dump(mode="json"))


def test_a_conflict_is_told_before_anything_is_asked(raven: Raven, measured: Measured, tmp_path: Path):
    there = tmp_path / "there.csv"
    there.write_text("mine")
    code, _, err = raven("models", "predict", "nothing", measured.paths[0], "-o", there)
    assert code == 5, err
    assert there.read_text() == "mine"
