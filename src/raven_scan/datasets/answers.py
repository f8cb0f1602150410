"""Datasets as answers over REST, encoded without checking them against their schemas again; a test compares the two."""

from typing import Any

import msgspec
from fastapi import Response

from raven_scan.datasets.schemas import describe_dataset, describe_version
from raven_scan.datasets.types import DatasetVersionView, DatasetView
from raven_scan.kernel.paging import Page
from raven_scan.kernel.revisions import format_etag

ETAG: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}, "description": "Send it as If-Match."}}}
}


def answer_dataset(dataset: DatasetView) -> Response:
    return _answer(describe_dataset(dataset), {"ETag": format_etag(dataset.revision)})


def answer_datasets(page: Page[DatasetView]) -> Response:
    return _answer({"items": [describe_dataset(dataset) for dataset in page.items], "next": page.next})


def answer_version(version: DatasetVersionView) -> Response:
    return _answer(describe_version(version))


def answer_versions(page: Page[DatasetVersionView]) -> Response:
    return _answer({"items": [describe_version(version) for version in page.items], "next": page.next})


def _answer(content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json", headers=headers)
