"""The log of the service: on stderr, lines for people on a terminal, JSON elsewhere, with secrets masked."""

import logging
import re
import sys
from collections.abc import Iterable
from typing import Any

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from raven_scan.kernel.masking import MASK, TextMask

_TALKATIVE = ("alembic", "procrastinate", "uvicorn", "httpx")

_SECRET_KEY = re.compile(r"token|password|passwd|secret|authorization|cookie|api_?key", re.IGNORECASE)


class SecretMask:
    """A processor that hides secrets: known values, values under telling names, passwords in addresses.

    Args:
        known: secrets of this process, hidden wherever they turn up.
    """

    def __init__(self, known: Iterable[SecretStr] = ()) -> None:
        self._mask_text = TextMask(known)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        del logger, method
        return {key: self._mask_under(key, value) for key, value in event.items()}

    def _mask_under(self, key: str, value: Any) -> Any:
        if isinstance(value, str) and _SECRET_KEY.search(key):
            return MASK
        return self._mask(value)

    def _mask(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._mask_text(value)
        if isinstance(value, dict):
            return {key: self._mask_under(str(key), inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if isinstance(value, list | tuple):
            return [self._mask(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
        return value


def set_up_logging(level: str, *, secrets: Iterable[SecretStr] = ()) -> None:
    """Sends structlog's and the standard library's records to stderr.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        secrets: values that never reach the log.
    """
    mask = SecretMask(secrets)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if sys.stderr.isatty():
        # A plain traceback is text, which the mask can read; a pretty one would show local variables.
        rendering += [
            structlog.processors.format_exc_info,
            mask,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    else:
        rendering += [
            structlog.processors.format_exc_info,
            mask,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=rendering))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        # What they call information is of use to those alone who look for their faults.
        logging.getLogger(name).setLevel(
            logging.NOTSET if level == "DEBUG" else max(root.level, logging.WARNING)
        )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
