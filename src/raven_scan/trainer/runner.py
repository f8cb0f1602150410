"""MMEngine's Runner without what a run of the platform does not want of it."""

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

from raven_scan.architectures.parameters import MemoryFormat


class UnprintedConfig(Config):
    """A configuration without its text as Python source, which MMEngine's hooks ask for and takes long to format."""

    @property
    def pretty_text(self) -> str:
        return ""


class _NoFigure:
    def get_dpi(self) -> float:
        return 0.0


class UndrawnVisualizer(Visualizer):
    """Hands figures on to its backends, of which a run has none, and needs no Matplotlib for pictures."""

    def _initialize_fig(self, fig_cfg: dict[str, Any]) -> tuple[None, _NoFigure, None]:
        del fig_cfg
        return None, _NoFigure(), None


class RunRunner(Runner):
    """A Runner that logs to the process's output alone, leaves no files of its own, and is led by the platform.

    Attributes:
        restore: called in place of MMEngine's loading of a checkpoint, with the runner; None where there is
            nothing to resume.
        lead: called by the training loop, with the runner, to do all epochs.
    """

    restore: Callable[[Any], None] | None = None
    lead: Callable[[Any], None]

    def build_logger(
        self, log_level: str | int = "INFO", log_file: str | None = None, **kwargs: Any
    ) -> MMLogger:
        del log_file
        logger = MMLogger.get_instance(
            name=self._experiment_name, log_level=log_level, logger_name="mmengine", **kwargs
        )
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                # Without colours: the text goes to a file.
                handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
                handler.setStream(sys.stderr)
        # Until the weights are there: MMEngine tells every hook by stage, and how each tensor was initialised.
        logger.setLevel(logging.WARNING)
        return logger

    def build_visualizer(self, visualizer: Any = None) -> Visualizer:
        del visualizer
        return UndrawnVisualizer.get_instance(self._experiment_name)

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        # MMEngine's report calls compilers to ask for their versions, and formats the whole configuration as
        # Python; both are in the `Started` event and in configuration.json.
        del env_cfg
        # The folder for its log file, made just before this; of several ranks, one removes it.
        with suppress(FileNotFoundError):
            Path(self._log_dir).rmdir()

    def dump_config(self) -> None:
        """Nothing: the configuration is already in the work folder, as JSON."""

    def wrap_model(self, model_wrapper_cfg: Any, model: Any) -> Any:
        # Torch lays its buckets for the exchange of gradients out as the weights are when it wraps the model. Where
        # their order in memory changes afterwards, as the hook would do, the first exchange mixes gradients up.
        for hook in self.cfg.get("custom_hooks", []):
            if hook.get("memory_format") == MemoryFormat.CHANNELS_LAST:
                model.to(memory_format=torch.channels_last)
        return super().wrap_model(model_wrapper_cfg, model)

    def _init_model_weights(self) -> None:
        super()._init_model_weights()
        self.logger.setLevel(logging.INFO)

    def load_or_resume(self) -> None:
        if self._has_loaded:
            return
        if self.restore is not None:
            self.restore(self)
            self._has_loaded = True
            return
        super().load_or_resume()
