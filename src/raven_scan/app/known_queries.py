"""Refuses what a query says that the call does not know: a filter that is misspelt would let everything through."""

from urllib.parse import parse_qsl

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from raven_scan.kernel.errors import Invalid


class KnownQueries:
    """A dependency of every call.

    Args:
        open_paths: calls that others make by a link, to which they add what is theirs.
    """

    def __init__(self, open_paths: frozenset[str]) -> None:
        self._open_paths = open_paths
        self._known: dict[int, frozenset[str]] = {}

    async def __call__(self, request: Request) -> None:
        """Raises Invalid, with each name that is not known."""
        query: bytes = request.scope["query_string"]
        route = request.scope.get("route")
        if not query or not isinstance(route, APIRoute) or route.path in self._open_paths:
            return
        # Routes live as long as the application does, so that their ids are theirs alone.
        known = self._known.get(id(route))
        if known is None:
            known = self._known[id(route)] = _list_names(route)
        given = {name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}
        if unknown := sorted(given - known):
            raise Invalid(
                "request.unknown_parameter",
                f"The query has what is not known here: {', '.join(map(repr, unknown))}.",
                hint=f"It takes {', '.join(sorted(known))}." if known else "This call takes no query.",
                parameters={"unknown": unknown, "known": sorted(known)},
            )


def _list_names(route: APIRoute) -> frozenset[str]:
    fields = get_flat_params(route.dependant)
    return frozenset(field.alias for field in fields if isinstance(field.field_info, params.Query))
