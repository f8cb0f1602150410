"""The contact sheet of test images with true and predicted boxes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raven_scan.app.pictures import PREDICTED_COLOUR, TRUE_COLOUR, draw_detections, save_results_picture
from raven_scan.figures.image_results import DetectedBox, ImageResult, TrueBox
from raven_scan.kernel.errors import Invalid

CELL_PX = 360


@pytest.fixture
def grey_images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"image_{index}.png" for index in range(3)]
    for path in paths:
        Image.new("RGB", (360, 180), (90, 90, 90)).save(path)
    return paths


def read_pixels(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def count_pixels(pixels: np.ndarray[Any, Any], colour: tuple[int, int, int]) -> int:
    return int((pixels == colour).all(axis=2).sum())


def empty(columns: int) -> np.ndarray[Any, Any]:
    return np.zeros((0, columns))


def test_boxes_lie_where_they_should(grey_images: list[Path], tmp_path: Path):
    sheet = tmp_path / "sheet.png"
    truth = [np.array([[40.0, 30.0, 100.0, 60.0]])]
    predicted = [np.array([[200.0, 40.0, 80.0, 90.0, 0.83]])]
    draw_detections(grey_images[:1], truth, predicted, sheet, confidence=0.3)
    pixels = read_pixels(sheet)
    # The image fills its cell's width and lies in the middle of its height; the first grey pixel tells where.
    grey_rows, grey_columns = np.nonzero((pixels == (90, 90, 90)).all(axis=2))
    top, left = grey_rows.min(), grey_columns.min()
    image = pixels[top : top + 180, left : left + 360]
    rows, columns = np.nonzero((image == TRUE_COLOUR).all(axis=2))
    assert abs(columns.min() - 40) <= 1
    assert abs(columns.max() - 140) <= 1
    assert abs(rows.min() - 30) <= 1
    assert abs(rows.max() - 90) <= 1
    rows, columns = np.nonzero((image[:, 150:] == PREDICTED_COLOUR).all(axis=2))
    assert abs(columns.min() + 150 - 200) <= 1
    assert abs(columns.max() + 150 - 280) <= 1
    assert abs(rows.max() - 130) <= 1


def test_a_true_box_is_dashed_and_a_predicted_one_is_not(grey_images: list[Path], tmp_path: Path):
    true_only, predicted_only, nothing = (
        tmp_path / f"{name}.png" for name in ("true", "predicted", "nothing")
    )
    box = np.array([[40.0, 30.0, 200.0, 100.0]])
    score = np.array([[40.0, 30.0, 200.0, 100.0, 0.9]])
    draw_detections(grey_images[:1], [box], [empty(5)], true_only, confidence=0.3)
    draw_detections(grey_images[:1], [empty(4)], [score], predicted_only, confidence=0.3)
    draw_detections(grey_images[:1], [empty(4)], [empty(5)], nothing, confidence=0.3)
    legend = read_pixels(nothing)
    true_pixels = count_pixels(read_pixels(true_only), TRUE_COLOUR) - count_pixels(legend, TRUE_COLOUR)
    predicted_pixels = count_pixels(read_pixels(predicted_only), PREDICTED_COLOUR) - count_pixels(
        legend, PREDICTED_COLOUR
    )
    # Two pixels wide, 600 px around.
    assert 450 < true_pixels < 900
    assert predicted_pixels > 1100


def test_predictions_below_the_confidence_are_left_out(grey_images: list[Path], tmp_path: Path):
    low, none = tmp_path / "low.png", tmp_path / "none.png"
    weak = np.array([[10.0, 60.0, 50.0, 50.0, 0.29]])
    draw_detections(grey_images[:1], [empty(4)], [weak], low, confidence=0.3)
    draw_detections(grey_images[:1], [empty(4)], [empty(5)], none, confidence=0.3)
    assert np.array_equal(read_pixels(low), read_pixels(none))


def test_the_sheet_has_a_cell_for_each_image(grey_images: list[Path], tmp_path: Path):
    sheet = tmp_path / "sheet.jpg"
    draw_detections(grey_images, [empty(4)] * 3, [empty(5)] * 3, sheet, columns=2, confidence=0.5)
    with Image.open(sheet) as picture:
        assert picture.format == "JPEG"
        width, height = picture.size
    assert 2 * CELL_PX < width < 3 * CELL_PX
    assert 2 * CELL_PX < height < 3 * CELL_PX
    assert {path.name for path in tmp_path.iterdir()} == {"sheet.jpg", *(path.name for path in grey_images)}


def test_boxes_at_the_border_and_tiny_ones_are_drawn(grey_images: list[Path], tmp_path: Path):
    sheet = tmp_path / "sheet.png"
    truth = [np.array([[0.0, 0.0, 0.4, 0.4], [359.0, 179.0, 1.0, 1.0]])]
    predicted = [np.array([[340.0, 0.0, 20.0, 20.0, 0.99], [0.0, 170.0, 10.0, 10.0, 1.0]])]
    draw_detections(grey_images[:1], truth, predicted, sheet, confidence=0.3)
    assert count_pixels(read_pixels(sheet), PREDICTED_COLOUR) > 100


def test_no_image_is_refused(tmp_path: Path):
    with pytest.raises(Invalid) as caught:
        draw_detections([], [], [], tmp_path / "sheet.png", confidence=0.3)
    assert caught.value.code == "picture.nothing_to_draw"


def test_what_an_evaluation_says_of_images_is_drawn(grey_images: list[Path], tmp_path: Path):
    def make_result(path: Path, truth: list[TrueBox], found: list[DetectedBox]) -> ImageResult:
        return ImageResult(
            image_id=1,
            file_name=path.name,
            misses=0,
            false_alarms=0,
            worst_confidence=None,
            true_boxes=truth,
            detections=found,
        )

    box = TrueBox(class_name="waste", box=(40, 30, 100, 60), crowd=False, found=True)
    crowd = TrueBox(class_name="waste", box=(5, 5, 300, 150), crowd=True, found=False)
    detected = DetectedBox(class_name="waste", box=(42.5, 31, 99, 60), confidence=0.75, hit=True)
    results = [make_result(grey_images[0], [box], [detected]), make_result(grey_images[1], [crowd], [])]
    by_results, by_arrays = tmp_path / "by_results.png", tmp_path / "by_arrays.png"
    save_results_picture(tmp_path, results, by_results, confidence=0.3)
    draw_detections(
        grey_images[:2],
        [np.array([[40.0, 30, 100, 60]]), empty(4)],
        [np.array([[42.5, 31, 99, 60, 0.75]]), empty(5)],
        by_arrays,
        confidence=0.3,
    )
    assert np.array_equal(read_pixels(by_results), read_pixels(by_arrays))
