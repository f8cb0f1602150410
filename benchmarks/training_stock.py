"""MMDetection's own side of `training.py`: its configuration of an architecture, for a dataset and a size."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from raven_scan.architectures.catalogue import Architecture, StartingWeights
from raven_scan.trainer.configuration.model import build_model_section, read_mmdetection_configuration

# The epochs that MMDetection's configurations are written for, and what they do in the last of them.
_EPOCHS = {"rtmdet": 300, "yolox": 300, "faster-rcnn": 12}
_LAST_EPOCHS = {"rtmdet": 20, "yolox": 15}
_RTMDET_BATCH_SIZE = 256


def build_stock_configuration(
    architecture: Architecture,
    parts: Path,
    classes: list[str],
    *,
    image_size: int,
    batch_size: int,
    epochs: int,
    validation_interval: int,
    loader_processes: int,
    weights: Path | None,
    seed: int,
    folder: Path,
) -> Config:
    """MMDetection's own pipelines, optimiser, schedule, averaging and hooks, brought to this data and length.

    What differs: images, classes, sizes, batch and epochs; schedules in proportion to the epochs, learning rates to
    the batch as MMDetection says; no downloads, no SyncBN; the operators, evaluator and backbones of the platform,
    which MMDetection lacks here.
    """
    original = read_mmdetection_configuration(architecture)
    _scale_images(original, image_size)
    model = build_model_section(original, architecture, class_count=len(classes), frozen_stages=0)
    if architecture.family.value == "rtmdet":
        model["bbox_head"]["type"] = "RTMDetSepBNHead"
    if architecture.family.value == "faster-rcnn":
        # As it is written: the first stage and all statistics stay as they are.
        model["backbone"].update(
            frozen_stages=1, norm_eval=True, norm_cfg={"type": "BN", "requires_grad": True}
        )
    if architecture.starting_weights is StartingWeights.IMAGENET:
        model["backbone"]["frozen_stages"] = 1
    processes = {"num_workers": loader_processes, "persistent_workers": loader_processes > 0}
    configuration = Config(original)
    configuration.merge_from_dict(
        {
            "custom_imports": {
                "imports": [
                    "raven_scan.trainer.operators.install_on_import",
                    "raven_scan.trainer.backbones",
                    "raven_scan.trainer.evaluation.coco_metric",
                    "training_marks",
                ],
                "allow_failed_imports": False,
            },
            "work_dir": str(folder),
            "load_from": None if weights is None else str(weights),
            "randomness": {"seed": seed},
            "visualizer": {"vis_backends": []},
            "env_cfg": {"dist_cfg": {"backend": "gloo"}},
        }
    )
    configuration.model = model
    configuration.train_dataloader.update(batch_size=batch_size, **processes)
    for loader in (configuration.val_dataloader, configuration.test_dataloader):
        loader.update(batch_size=batch_size, **processes)
    _set_dataset(configuration.train_dataloader.dataset, parts / "train", classes)
    _set_dataset(configuration.val_dataloader.dataset, parts / "valid", classes)
    _set_dataset(configuration.test_dataloader.dataset, parts / "test", classes)
    for evaluator, part in ((configuration.val_evaluator, "valid"), (configuration.test_evaluator, "test")):
        evaluator.clear()
        evaluator.update(type="RavenCocoMetric", ann_file=str(parts / part / "annotations_coco.json"))
    _scale_schedule(configuration, architecture, epochs, batch_size)
    configuration.train_cfg = {
        "type": "EpochBasedTrainLoop",
        "max_epochs": epochs,
        "val_interval": validation_interval,
    }
    configuration.default_hooks.checkpoint.update(
        interval=validation_interval,
        max_keep_ckpts=1,
        save_best="coco/bbox_mAP",
        rule="greater",
    )
    return configuration


def _scale_images(configuration: Any, image_size: int) -> None:
    """Bring all sizes in pixels of the pipelines to the benchmark's: they are written for 640, or 1333 x 800."""
    sizes = {640: image_size, 1280: 2 * image_size, 1333: image_size, 800: image_size, 416: image_size}
    sizes[-320] = -(image_size // 2)

    def scale(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: scale(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            if len(value) == 2 and all(isinstance(each, int) for each in value):
                return type(value)(sizes.get(each, each) for each in value)
            return type(value)(scale(each) for each in value)
        return value

    for name in ("train_dataloader", "val_dataloader", "test_dataloader", "custom_hooks"):
        if name in configuration:
            configuration[name] = scale(configuration[name])
    # The size changes at random from batch to batch, which is not the same image size.
    configuration["model"]["data_preprocessor"].pop("batch_augments", None)


def _set_dataset(dataset: Any, folder: Path, classes: list[str]) -> None:
    if dataset.type == "MultiImageMixDataset":
        dataset = dataset.dataset
    dataset.update(
        data_root="",
        ann_file=str(folder / "annotations_coco.json"),
        data_prefix={"img": str(folder)},
        metainfo={"classes": tuple(classes)},
    )
    if "filter_cfg" in dataset:
        dataset.filter_cfg = {"filter_empty_gt": False}


def _scale_schedule(configuration: Any, architecture: Architecture, epochs: int, batch_size: int) -> None:
    family = architecture.family.value
    share = epochs / _EPOCHS[family]
    for scheduler in configuration.param_scheduler:
        if scheduler.get("by_epoch"):
            for name in ("begin", "end", "T_max"):
                if name in scheduler:
                    scheduler[name] = max(0 if name == "begin" else 1, round(scheduler[name] * share))
            if "milestones" in scheduler:
                scheduler["milestones"] = sorted(
                    {max(1, round(each * share)) for each in scheduler["milestones"]}
                )
        else:
            # A warm-up in steps: at most a tenth of the run, of about 30 steps an epoch.
            scheduler["end"] = min(scheduler["end"], max(1, epochs * 3))
    # An interval of no epochs is refused.
    configuration.param_scheduler = [
        each for each in configuration.param_scheduler if each.get("begin", 0) < each.get("end", epochs + 1)
    ]
    if family == "rtmdet":
        # Adam's steps do not grow with the batch, their noise falls with its root.
        configuration.optim_wrapper.optimizer.lr *= (batch_size / _RTMDET_BATCH_SIZE) ** 0.5
    else:
        base = configuration.auto_scale_lr.base_batch_size
        configuration.auto_scale_lr = {"enable": False, "base_batch_size": base}
        configuration.optim_wrapper.optimizer.lr *= batch_size / base
    last = max(1, round(_LAST_EPOCHS.get(family, 0) * share))
    for hook in configuration.get("custom_hooks", []):
        if hook.type == "PipelineSwitchHook":
            hook.switch_epoch = epochs - last
        if hook.type == "YOLOXModeSwitchHook":
            hook.num_last_epochs = last
