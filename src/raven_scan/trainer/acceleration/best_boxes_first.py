"""Suppression of overlapping boxes that looks at no more of them than it keeps needs."""

from typing import Any

from mmengine.structures import InstanceData

# Of so many times as many boxes as an image may keep, the best are tried first.
_FIRST_TRY = 6
_NEXT_TRY = 4


class BestBoxesFirst:
    """Of a dense head: the same boxes as MMDetection's, which compares all with all and then keeps the first few.

    A head that has learned little predicts thousands of boxes an image above the least score, and most of a
    validation's time goes into them. Suppression goes from the best score down, so that what is worse than the last
    box that is kept changes nothing. (Boxes with exactly equal scores at that end may be others.)
    """

    def _bbox_post_process(
        self,
        results: InstanceData,
        cfg: Any,
        rescale: bool = False,  # noqa: FBT001, FBT002 - MMDetection's signature
        with_nms: bool = True,  # noqa: FBT001, FBT002
        img_meta: Any = None,
    ) -> InstanceData:
        plain: Any = super()
        scores: Any = results["scores"]
        most: int = cfg.get("max_per_img", -1)
        if with_nms and most > 0 and "score_factors" not in results and cfg.nms.get("type") == "nms":
            tried = most * _FIRST_TRY
            best = scores.argsort(descending=True, stable=True) if tried < len(scores) else None
            while best is not None and tried < len(scores):
                kept = plain._bbox_post_process(results[best[:tried]], cfg, rescale, with_nms, img_meta)  # noqa: SLF001
                if len(kept) >= most:
                    return kept
                tried *= _NEXT_TRY
        return plain._bbox_post_process(results, cfg, rescale, with_nms, img_meta)  # noqa: SLF001
