"""Requests to the REST API; what it refuses comes back as the errors that the platform raised."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from raven_scan.kernel.errors import ErrorKind, Invalid, RavenError, Unavailable, make_error
from raven_scan.kernel.progress import Progress

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
# Long work tells its progress when there is some: copying one large file may take longer than any limit.
_LONG_WORK_TIMEOUT = httpx.Timeout(None, connect=10.0)

Parameters = Mapping[str, str | int | Sequence[str] | None]


def quote_ref(ref: str) -> str:
    """A name or id as one segment of a path."""
    return quote(ref, safe="")


class Connection:
    """Sends requests; knows nothing of what they are about.

    Args:
        http: with the base address and the token set.
    """

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, parameters: Parameters | None = None) -> Any:
        with self._translate_failures():
            answer = self._http.get(path, params=_drop_none(parameters), timeout=_TIMEOUT)
            return _read_answer(answer)

    def post(self, path: str, content: Any = None, parameters: Parameters | None = None) -> Any:
        """Sends it once: whether a request that broke off was done, nobody knows here."""
        with self._translate_failures():
            answer = self._http.post(
                path, params=_drop_none(parameters), **_encode(content), timeout=_TIMEOUT
            )
            return _read_answer(answer)

    def delete(self, path: str) -> None:
        with self._translate_failures():
            _read_answer(self._http.delete(path, timeout=_TIMEOUT))

    def do_long_work(
        self,
        path: str,
        on_progress: Progress,
        *,
        content: Any = None,
        body: Iterator[bytes] | None = None,
        body_type: str = "application/octet-stream",
        parameters: Parameters | None = None,
    ) -> Any:
        """Posts, hands on the progress that the server tells, returns the result.

        Args:
            path: of the API.
            on_progress: called for each line of progress.
            content: sent as JSON.
            body: sent as it is, instead.
            body_type: media type of the body.
            parameters: of the query.

        Raises:
            RavenError: what the work failed with.
        """
        sent: dict[str, Any] = (
            _encode(content) if body is None else {"content": body, "headers": {"Content-Type": body_type}}
        )
        with (
            self._translate_failures(),
            self._http.stream(
                "POST", path, params=_drop_none(parameters), timeout=_LONG_WORK_TIMEOUT, **sent
            ) as answer,
        ):
            if not answer.is_success:
                answer.read()
                return _read_answer(answer)
            return _follow_work(answer.iter_lines(), on_progress)

    @contextmanager
    def _translate_failures(self) -> Generator[None]:
        try:
            yield
        except httpx.TransportError as error:
            base = str(self._http.base_url)
            raise Unavailable(
                "client.no_answer",
                f"No answer from {base}: {str(error) or type(error).__name__}.",
                hint="Start a server with `raven serve`, or unset RAVEN_SERVER to work without one.",
                parameters={"server": base},
            ) from error
        except httpx.InvalidURL as error:
            raise Invalid("client.bad_address", f"The request has a bad address: {error}.") from error


def _encode(content: Any) -> dict[str, Any]:
    if content is None:
        return {}
    try:
        encoded = json.dumps(content, allow_nan=False).encode()
    except ValueError:
        raise Invalid(
            "client.not_finite", "A number is not finite.", hint="Give a number, not nan or inf."
        ) from None
    return {"content": encoded, "headers": {"Content-Type": "application/json"}}


def _drop_none(parameters: Parameters | None) -> dict[str, Any] | None:
    if parameters is None:
        return None
    return {name: value for name, value in parameters.items() if value is not None}


def _follow_work(lines: Iterator[str], on_progress: Progress) -> Any:
    for line in lines:
        event = json.loads(line)
        match event["event"]:
            case "progress":
                on_progress(event["stage"], event["done"], event["total"])
            case "done":
                return event["result"]
            case "failed":
                raise make_error(event["error"])
            case _:
                pass  # a newer server may tell more than this client knows
    raise Unavailable(
        "client.broken_off",
        "The server broke off before the work was done.",
        hint="See whether the server still runs; then try again.",
    )


def _read_answer(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    raise _read_problem(answer)


def _read_problem(answer: httpx.Response) -> RavenError:
    try:
        problem = answer.json()
        return make_error(
            {
                "code": problem["code"],
                "kind": problem["kind"],
                "message": problem["detail"],
                "hint": problem["hint"],
                "parameters": problem["parameters"],
            }
        )
    except (ValueError, KeyError, TypeError):
        return make_error(
            {
                "code": "client.unexpected_answer",
                "kind": str(ErrorKind.UNAVAILABLE),
                "message": f"{answer.url} answered {answer.status_code}, and not as Raven Scan does.",
                "hint": "Check the server's address, and what stands between.",
                "parameters": {"status": answer.status_code},
            }
        )
