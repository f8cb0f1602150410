"""The requests that people and their screens make, drawn by weight: what the load generator sends."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from api_filling import Filled
from api_words import EVERYWHERE, NOWHERE

RUNS = "/api/v1/training-runs"
MODELS = "/api/v1/trained-models"
DATASETS = "/api/v1/datasets"
CHART_POINTS = 2000
CHART = "metrics of the longest run, thinned"
_PAGE = 500

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request.

    Attributes:
        name: in the table.
        weight: how often it comes, against the others.
        make: draws a path with its query.
    """

    name: str
    weight: float
    make: Callable[[random.Random], str]


@dataclass(frozen=True, slots=True)
class Api:
    """What the server says that it can do: a parameter that it does not know, it would overlook."""

    document: dict[str, Any]

    def find_path(self, *paths: str) -> str | None:
        """The first of these that there is."""
        return next((path for path in paths if "get" in self.document["paths"].get(path, {})), None)

    def list_parameters(self, path: str) -> dict[str, dict[str, Any]]:
        there = self.document["paths"].get(path, {}).get("get", {}).get("parameters", [])
        return {each["name"]: each.get("schema", {}) for each in there if each["in"] == "query"}

    def knows(self, path: str, parameters: Parameters) -> bool:
        return self.find_path(path) is not None and set(parameters) <= set(self.list_parameters(path))

    def list_sorts(self, http: httpx.Client, path: str) -> list[str]:
        """Every value that `sort` may have, as the refusal of another one tells."""
        if "sort" not in self.list_parameters(path):
            return []
        return http.get(_join(path, {"sort": NOWHERE})).json().get("parameters", {}).get("sorts", [])


class Catalogue:
    """Collects the cases; those that the server cannot do are named in `missing`."""

    def __init__(self, api: Api, http: httpx.Client, filled: Filled) -> None:
        self.cases: list[Case] = []
        self.missing: list[str] = []
        self._api = api
        self._http = http
        self._filled = filled

    def build(self) -> None:
        self._add_runs()
        self._add_models()
        filled = self._filled
        self._add("datasets: first page", 2, DATASETS, {})
        self._add("datasets: search", 1, DATASETS, {"q": [EVERYWHERE, "lit"]})
        self._add_detail("dataset: by name", 1, f"{DATASETS}/{{ref}}", filled.dataset_names)
        self._add_path("queue", 2, "/api/v1/system/queue", "/api/v1/queue")
        self._add_path("workers", 2, "/api/v1/system/workers", "/api/v1/workers")
        self._add("audit: first page", 2, "/api/v1/audit", {})
        self._add("audit: deep page", 1, "/api/v1/audit", {}, pages=20)
        self._add("users: first page", 2, "/api/v1/users", {})
        self._add_path("version", 1, "/api/v1/system/version", "/api/v1/system")

    def _add_runs(self) -> None:
        words, statuses = self._filled.run_words, ["Success", "Error", "Draft", "Waiting", "Processing"]
        self._add("runs: first page", 8, RUNS, {})
        self._add("runs: deep page", 3, RUNS, {}, pages=40)
        for status in statuses:
            self._add(f"runs: status {status}", 1, RUNS, {"status": [status]})
        for sort in self._list_sorts(RUNS):
            self._add(f"runs: sort {sort}", 0.7, RUNS, {"sort": [sort]})
        self._add("runs: sort name, deep", 1, RUNS, {"sort": ["name"]}, pages=20)
        self._add("runs: word of all", 2, RUNS, {"q": [EVERYWHERE]})
        self._add("runs: word of many", 2, RUNS, {"q": words.many})
        self._add("runs: word of few", 3, RUNS, {"q": words.few})
        self._add("runs: word of one", 3, RUNS, {"q": words.one})
        self._add("runs: word of none", 1, RUNS, {"q": [NOWHERE]})
        self._add("runs: prefix of all", 1, RUNS, {"q": [EVERYWHERE[:3]]})
        self._add("runs: prefix of few", 2, RUNS, {"q": [word[:5] for word in words.few]})
        self._add("runs: two words", 2, RUNS, {"q": [" ".join(pair) for pair in words.pairs]})
        self._add("runs: word and status", 2, RUNS, {"q": words.many, "status": ["Error"]})
        self._add("runs: rare word and status", 1, RUNS, {"q": words.few, "status": ["Success"]})
        self._add("runs: word and sort", 1, RUNS, {"q": words.many, "sort": ["name"]})
        for name in ("created_by", "architecture", "dataset", "base_model"):
            if name in self._api.list_parameters(RUNS):
                self._add(f"runs: {name}", 0.7, RUNS, {name: self._find_values(RUNS, name)})
        self._add_detail("run: by id", 6, f"{RUNS}/{{ref}}", self._filled.run_ids)
        self._add_detail("run: by name", 3, f"{RUNS}/{{ref}}", self._filled.run_names)
        self._add_detail("run: metrics", 3, f"{RUNS}/{{ref}}/metrics", self._filled.run_ids)
        chart = {"points": [CHART_POINTS]}
        self._add_detail(CHART, 1, f"{RUNS}/{{ref}}/metrics", [self._filled.longest_run], chart)

    def _add_models(self) -> None:
        words = self._filled.model_words
        self._add("models: first page", 4, MODELS, {})
        self._add("models: deep page", 2, MODELS, {}, pages=8)
        for sort in self._list_sorts(MODELS):
            self._add(f"models: sort {sort}", 0.5, MODELS, {"sort": [sort]})
        self._add("models: origin", 1, MODELS, {"origin": ["imported", "trained", "builtin"]})
        self._add("models: stage", 1, MODELS, {"stage": ["published", "candidate"]})
        self._add("models: architecture", 1, MODELS, {"architecture": ["rtmdet-tiny", "yolox-nano"]})
        self._add("models: word of all", 1, MODELS, {"q": [EVERYWHERE]})
        self._add("models: word of few", 1, MODELS, {"q": words.few})
        self._add("models: word of one", 1, MODELS, {"q": words.one})
        self._add("models: word of none", 1, MODELS, {"q": [NOWHERE]})
        self._add_detail("model: by name", 4, f"{MODELS}/{{ref}}", self._filled.model_names)

    def _list_sorts(self, path: str) -> list[str]:
        sorts = self._api.list_sorts(self._http, path)
        if not sorts:
            self.missing.append(f"{path}: sort")
        return sorts

    def _add(
        self, name: str, weight: float, path: str, choices: Mapping[str, Sequence[Any]], pages: int = 0
    ) -> None:
        """A list, with a value drawn for each parameter; `pages`: so many large pages from its beginning."""
        if not self._api.knows(path, choices) or (pages and not self._api.knows(path, {"cursor": ""})):
            self.missing.append(name)
            return
        cursors: list[str] = []
        if pages:
            try:
                cursors = self._walk(path, {key: values[0] for key, values in choices.items()}, pages)
            except httpx.HTTPStatusError as error:
                self.missing.append(f"{name} ({error.response.status_code})")
                return

        def make(source: random.Random) -> str:
            drawn = {key: source.choice(values) for key, values in choices.items()}
            if cursors:
                drawn["cursor"] = source.choice(cursors)
            return _join(path, drawn)

        self.cases.append(Case(name, weight, make))

    def _add_path(self, name: str, weight: float, *paths: str) -> None:
        path = self._api.find_path(*paths)
        if path is None:
            self.missing.append(name)
        else:
            self._add(name, weight, path, {})

    def _add_detail(
        self,
        name: str,
        weight: float,
        path: str,
        refs: Sequence[str],
        query: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        template = self._api.find_path(path, path.replace("{ref}", "{name}"), path.replace("{ref}", "{id}"))
        if template is None or not self._api.knows(template, query or {}):
            self.missing.append(name)
            return

        def make(source: random.Random) -> str:
            drawn = {key: source.choice(values) for key, values in (query or {}).items()}
            return _join(path.replace("{ref}", quote(source.choice(refs), safe="")), drawn)

        self.cases.append(Case(name, weight, make))

    def _walk(self, path: str, parameters: Parameters, pages: int) -> list[str]:
        """Cursors of the last pages of a walk."""
        cursors: list[str] = []
        for _ in range(pages):
            query = {**parameters, "limit": _PAGE, **({"cursor": cursors[-1]} if cursors else {})}
            answer = self._http.get(_join(path, query)).raise_for_status().json()
            if answer["next"] is None:
                break
            cursors.append(answer["next"])
        return cursors[-5:]

    def _find_values(self, path: str, name: str) -> list[str]:
        """Values of a filter, from what a page shows."""
        shown: list[str] = []
        for item in self._http.get(_join(path, {"limit": 100})).raise_for_status().json()["items"]:
            value = item.get(name) or item.get(f"{name}_version")
            shown.append(str(value["name"] if isinstance(value, dict) else value))
        return sorted(set(shown))


def _join(path: str, query: Parameters) -> str:
    return f"{path}?{urlencode(query)}" if query else path
