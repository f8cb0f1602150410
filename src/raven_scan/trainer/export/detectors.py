"""Detectors in a form that becomes ONNX: MMDetection's networks with their last steps stated anew, for any batch.

MMDetection ends each image in a loop of its own, with sizes that only the image tells. Here the same is said for a
batch at once, over the operations of `box_decoding` and `box_selection`. What comes out is compared with
MMDetection's own answers in the tests, and again at every export.
"""

from typing import Any

import torch
from torch import Tensor, nn

from raven_scan.architectures.catalogue import Family
from raven_scan.trainer.export.box_decoding import (
    apply_deltas,
    apply_distances,
    clip_boxes,
    has_area,
    make_anchors,
    make_points,
)
from raven_scan.trainer.export.box_selection import OUT, leave_best, order_best, suppress_overlaps
from raven_scan.wire.onnx import OnnxSelection

_roi_align: Any = torch.ops.torchvision.roi_align

Detections = tuple[Tensor, Tensor, Tensor, Tensor]


class ExportableDetector(nn.Module):
    """A detector over a batch of images as they are decoded: normalisation inside, no loop over images.

    Args:
        detector: MMDetection's, in evaluation mode.
    """

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector
        preprocessor = detector.data_preprocessor
        # MMDetection's come as BGR; a network that wants RGB has them turned around.
        self._wants_rgb = bool(preprocessor._channel_conversion)  # noqa: SLF001 - it has no public name
        self._normalises = bool(preprocessor._enable_normalize)  # noqa: SLF001

    def forward(self, images: Tensor) -> Detections:
        """Detect.

        Args:
            images: uint8 (B, H, W, 3): RGB.

        Returns:
            boxes float32 (D, 4): x1 y1 x2 y2 in pixels of the input; scores float32 (D,); labels int64 (D,);
            image_indices int64 (D,): the row of `images`. Image by image, best score first.
        """
        size = images.shape[1], images.shape[2]
        boxes, scores, labels, rows = self._detect(self._extract_features(images), size)
        order = order_best(rows, scores, images.shape[0], self.selection.most_per_image)
        return boxes[order], scores[order], labels[order], rows[order]

    @property
    def selection(self) -> OnnxSelection:
        """Which detections it gives."""
        settings = self._settings
        limit = int(settings.get("max_per_img", -1))
        return OnnxSelection(
            min_score=float(settings.score_thr),
            max_overlap=float(settings.nms.iou_threshold),
            most_per_image=limit if limit > 0 else None,
        )

    @property
    def _settings(self) -> Any:
        """MMDetection's of the last step."""
        return self.detector.bbox_head.test_cfg

    def _extract_features(self, images: Tensor) -> tuple[Tensor, ...]:
        pixels = (images if self._wants_rgb else images.flip(3)).permute(0, 3, 1, 2).float()
        if self._normalises:
            preprocessor = self.detector.data_preprocessor
            pixels = (pixels - preprocessor.mean) / preprocessor.std
        return self.detector.extract_feat(pixels)

    def _detect(self, features: tuple[Tensor, ...], size: tuple[int, int]) -> Detections:
        """What is left after suppression, in any order, and more than may stay of an image."""
        raise NotImplementedError


class _DenseDetector(ExportableDetector):
    """One whose head predicts boxes and scores at every point of the feature maps."""

    def _detect(self, features: tuple[Tensor, ...], size: tuple[int, int]) -> Detections:
        head = self.detector.bbox_head
        boxes, scores = self._predict(head(features), size)
        rows, labels, places = suppress_overlaps(boxes, scores, self.selection.max_overlap).unbind(1)
        return boxes[rows, places], scores[rows, labels, places], labels, rows

    def _predict(self, outputs: Any, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Boxes (B, N, 4), and scores (B, C, N) that are `OUT` for what is not in the running."""
        raise NotImplementedError


class _RTMDet(_DenseDetector):
    def _predict(self, outputs: Any, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        head = self.detector.bbox_head
        generator = head.prior_generator
        boxes: list[Tensor] = []
        for distances, stride in zip(outputs[1], generator.strides, strict=True):
            points = make_points(distances.shape[2], distances.shape[3], stride, generator.offset)
            boxes.append(clip_boxes(apply_distances(points, _flatten(distances, 4)), *size))
        return _enter(boxes, outputs[0], head)


class _RetinaNet(_DenseDetector):
    def _predict(self, outputs: Any, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        head = self.detector.bbox_head
        return _enter(_decode_anchors(outputs[1], head, size), outputs[0], head)


class _YOLOX(_DenseDetector):
    def _predict(self, outputs: Any, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        del size
        head = self.detector.bbox_head
        generator = head.prior_generator
        boxes: list[Tensor] = []
        for predicted, stride in zip(outputs[1], generator.strides, strict=True):
            points = make_points(predicted.shape[2], predicted.shape[3], stride, generator.offset)
            moves = _flatten(predicted, 4)
            sides = torch.tensor(stride, dtype=torch.float32)
            centres = moves[..., :2] * sides + points
            halves = moves[..., 2:].exp() * sides / 2
            boxes.append(torch.cat([centres - halves, centres + halves], dim=-1))
        classes = torch.cat([_flatten(each, head.cls_out_channels) for each in outputs[0]], dim=1).sigmoid()
        objectness = torch.cat([_flatten(each, 1) for each in outputs[2]], dim=1).sigmoid()
        # A box counts for its best class alone.
        best, label = classes.max(dim=2, keepdim=True)
        scores = best * objectness
        counts = (scores >= self.selection.min_score) & (torch.arange(head.cls_out_channels) == label)
        return torch.cat(boxes, dim=1), torch.where(counts, scores, OUT).transpose(1, 2)


class _FasterRCNN(ExportableDetector):
    @property
    def _settings(self) -> Any:
        return self.detector.roi_head.test_cfg

    def _detect(self, features: tuple[Tensor, ...], size: tuple[int, int]) -> Detections:
        head = self.detector.roi_head.bbox_head
        rows, proposals = self._propose(features, size)
        regions = torch.cat([rows[:, None].float(), proposals], dim=1)
        class_scores, deltas = head(self._pool(features[: self._get_extractor().num_inputs], regions))
        class_count: int = head.num_classes
        # Boxes by class: (R, C, 4), each moved from its proposal.
        boxes = apply_deltas(proposals[:, None], deltas.reshape(-1, class_count, 4), head.bbox_coder)
        boxes = clip_boxes(boxes, *size).transpose(0, 1)
        scores = class_scores.softmax(dim=1)[:, :-1]
        # Each class has boxes of its own, so classes take the place of the batch, and images that of the classes.
        in_image = torch.arange(features[0].shape[0])[:, None] == rows
        counts = in_image[None] & (scores > self.selection.min_score).transpose(0, 1)[:, None]
        running = torch.where(counts, scores.transpose(0, 1)[:, None], OUT)
        labels, images, places = suppress_overlaps(boxes, running, self.selection.max_overlap).unbind(1)
        return boxes[labels, places], scores[places, labels], labels, images

    def _propose(self, features: tuple[Tensor, ...], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Regions that may hold an object: rows of the batch int64 (R,), boxes float32 (R, 4)."""
        head = self.detector.rpn_head
        settings: Any = head.test_cfg
        outputs = head(features)
        boxes, scores = _enter(_decode_anchors(outputs[1], head, size), outputs[0], head)
        # Levels suppress among themselves, as classes do.
        levels = torch.cat(
            [torch.full_like(_flatten(each, 1)[0, :, 0], level) for level, each in enumerate(outputs[0])]
        )
        counts = levels == torch.arange(len(outputs[0]))[:, None]
        running = torch.where(counts, scores, OUT)
        rows, _, places = suppress_overlaps(boxes, running, settings.nms.iou_threshold).unbind(1)
        order = order_best(rows, scores[rows, 0, places], scores.shape[0], settings.max_per_img)
        rows, places = rows[order], places[order]
        return rows, boxes[rows, places]

    def _pool(self, features: tuple[Tensor, ...], regions: Tensor) -> Tensor:
        """Features of each region (R, 5) from the level that fits its size."""
        extractor = self._get_extractor()
        levels = extractor.map_roi_levels(regions, len(features))
        places: list[Tensor] = []
        pooled: list[Tensor] = []
        for level, (layer, feature) in enumerate(zip(extractor.roi_layers, features, strict=True)):
            of_level = torch.nonzero(levels == level)[:, 0]
            places.append(of_level)
            pooled.append(
                _roi_align(
                    feature,
                    regions[of_level],
                    layer.spatial_scale,
                    *layer.output_size,
                    layer.sampling_ratio,
                    layer.aligned,
                )
            )
        # Back into the order of the regions.
        return torch.cat(pooled)[torch.argsort(torch.cat(places))]

    def _get_extractor(self) -> Any:
        return self.detector.roi_head.bbox_roi_extractor


_BY_FAMILY: dict[Family, type[ExportableDetector]] = {
    Family.RTMDET: _RTMDet,
    Family.YOLOX: _YOLOX,
    Family.RETINANET: _RetinaNet,
    Family.FASTER_RCNN: _FasterRCNN,
}


def make_exportable(detector: Any, family: Family) -> ExportableDetector:
    """The exportable form of MMDetection's detector, of one of `ONNX_FAMILIES`; shares its weights."""
    return _BY_FAMILY[family](detector).eval()


def _flatten(maps: Tensor, columns: int) -> Tensor:
    """Maps (B, A x columns, H, W) as a row a prediction: (B, H x W x A, columns)."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, columns)


def _decode_anchors(deltas: list[Tensor], head: Any, size: tuple[int, int]) -> list[Tensor]:
    generator = head.prior_generator
    boxes: list[Tensor] = []
    for each, stride, shapes in zip(deltas, generator.strides, generator.base_anchors, strict=True):
        anchors = make_anchors(each.shape[2], each.shape[3], stride, shapes)
        boxes.append(clip_boxes(apply_deltas(anchors, _flatten(each, 4), head.bbox_coder), *size))
    return boxes


def _enter(boxes: list[Tensor], maps: list[Tensor], head: Any) -> tuple[Tensor, Tensor]:
    """All levels' boxes (B, N, 4) and scores (B, C, N), of which stay those that the head's settings let run."""
    settings: Any = head.test_cfg
    running: list[Tensor] = []
    for of_level, each in zip(boxes, maps, strict=True):
        scores = _flatten(each, head.cls_out_channels).sigmoid().transpose(1, 2)
        if settings.get("nms_pre", -1) > 0:
            scores = leave_best(scores, settings.nms_pre)
        counts = has_area(of_level, settings.get("min_bbox_size", -1))[:, None]
        running.append(torch.where(counts & (scores > settings.get("score_thr", 0)), scores, OUT))
    return torch.cat(boxes, dim=1), torch.cat(running, dim=2)
