"""A part's true boxes as columns, for matching."""

from pathlib import Path

import msgspec
import numpy as np

from raven_scan.figures.class_lists import ClassLists, merge_class_lists
from raven_scan.figures.matching import Truth
from raven_scan.trainer.data.coco_columns import BadPartError


class _Image(msgspec.Struct, gc=False):
    id: int
    file_name: str


class _Annotation(msgspec.Struct, gc=False):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int = 0


class _Category(msgspec.Struct, gc=False):
    id: int
    name: str


class _Coco(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def read_truth(path: Path, classes: list[str]) -> tuple[Truth, ClassLists]:
    """Read a COCO document; labels are positions in the merged class list, whatever its category ids are.

    Returns:
        The true boxes, and the classes of both the model and the document.

    Raises:
        BadPartError: the file is not COCO.
    """
    try:
        coco = msgspec.json.decode(path.read_bytes(), type=_Coco)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadPartError(f"{path} is not COCO: {error}.") from error
    lists = merge_class_lists(classes, [each.name for each in coco.categories])
    label_by_name = {name: label for label, name in enumerate(lists.classes)}
    label_by_category = {each.id: label_by_name[each.name] for each in coco.categories}
    annotations = [each for each in coco.annotations if each.category_id in label_by_category]
    boxes = np.asarray([each.bbox for each in annotations], np.float64).reshape(-1, 4)
    areas = [each.bbox[2] * each.bbox[3] if each.area is None else each.area for each in annotations]
    truth = Truth(
        image_ids=np.asarray([each.id for each in coco.images], np.int64),
        file_names=tuple(each.file_name for each in coco.images),
        images=np.asarray([each.image_id for each in annotations], np.int64),
        labels=np.asarray([label_by_category[each.category_id] for each in annotations], np.int64),
        boxes=boxes,
        areas=np.asarray(areas, np.float64),
        crowds=np.asarray([each.iscrowd != 0 for each in annotations], np.bool_),
    )
    return truth, lists
