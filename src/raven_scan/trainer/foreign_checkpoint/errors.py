from raven_scan.trainer.failures import TrainerError

_HINT = (
    "Give a checkpoint as MMDetection or PyTorch writes it (.pth), or weights as safetensors. "
    "If the file was downloaded, download it again and compare its digest."
)
_HINT_CODE = (
    "Do not open this file with other tools, and ask where it comes from. "
    "Weights can be had without code as safetensors, or by saving a state dict."
)


class BadCheckpointContentError(ValueError):
    """What is wrong inside a checkpoint, as the end of a sentence; `NotACheckpointError` adds the file's name."""


class CodeInCheckpointError(BadCheckpointContentError):
    """A checkpoint would run code when it is unpickled. Nothing of it was run."""


class NotACheckpointError(TrainerError):
    """A file from outside is no checkpoint that can be read as tensors alone.

    Attributes:
        code: `refused.not_a_checkpoint`, or `refused.checkpoint_carries_code`.
        message: names the file and what is wrong with it.
    """

    def __init__(self, file_name: str, reason: BadCheckpointContentError) -> None:
        carries_code = isinstance(reason, CodeInCheckpointError)
        super().__init__(
            "refused.checkpoint_carries_code" if carries_code else "refused.not_a_checkpoint",
            f"{file_name} is not a checkpoint that can be imported: {reason}",
            hint=_HINT_CODE if carries_code else _HINT,
        )
