# Made from asynchronous/connection.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Requests to the REST API; what it refuses comes back as the errors that the platform raised."""

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from raven_scan.client.answers import (
    Parameters,
    RequestBody,
    RetryRules,
    drop_none,
    encode_json,
    is_held,
    make_broken_off,
    read_answer,
    read_problem,
)
from raven_scan.client.blocking import pause
from raven_scan.kernel.errors import Invalid, Unavailable, make_error
from raven_scan.kernel.progress import Progress
from raven_scan.kernel.revisions import format_etag

T = TypeVar("T")

_CONNECT_TIMEOUT_S = 10.0
_LONGEST_HOLD_S = 60.0
"""A server that was killed holds a request's key for half of it."""
_IDEMPOTENCY_KEY = "Idempotency-Key"


class Connection:
    """Sends requests; knows nothing of what they are about.

    Args:
        http: with the base address and the token set.
        timeout_s: how long an answer may take.
        retry_rules: for what is safe to repeat: reading, and what carries an idempotency key.
        sends_keys: whether what creates carries an idempotency key; of no use inside one process.
    """

    def __init__(
        self,
        http: httpx.Client,
        *,
        timeout_s: float = 60.0,
        retry_rules: RetryRules | None = None,
        sends_keys: bool = True,
    ) -> None:
        self._http = http
        self._timeout = httpx.Timeout(timeout_s, connect=_CONNECT_TIMEOUT_S)
        # Long work tells its progress when there is some: copying one large file may take longer than any limit.
        self._long_work_timeout = httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S)
        self._retry_rules = retry_rules or RetryRules()
        self._sends_keys = sends_keys

    @property
    def base_url(self) -> str:
        return str(self._http.base_url)

    def use_session(self, csrf_token: str) -> None:
        """Requests go by the session's cookie from now on, and no more by a token."""
        self._http.headers.pop("Authorization", None)
        self._http.headers["X-CSRF-Token"] = csrf_token

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, parameters: Parameters | None = None, *, is_retried: bool = True) -> Any:
        return read_answer(self.send("GET", path, parameters=parameters, is_retried=is_retried))

    def post(
        self, path: str, content: Any = None, parameters: Parameters | None = None, *, has_key: bool = True
    ) -> Any:
        """Sends it with an idempotency key, so that repeating it after a lost answer does nothing twice.

        Args:
            path: of the API.
            content: sent as JSON.
            parameters: of the query.
            has_key: False for what takes no key; it is sent once then: whether a request that broke off was done,
                nobody knows here.
        """
        body = encode_json(content)
        has_key = has_key and self._sends_keys
        headers = {_IDEMPOTENCY_KEY: str(uuid4())} if has_key else {}
        return read_answer(
            self.send("POST", path, parameters=parameters, body=body, headers=headers, is_retried=has_key)
        )

    def patch(self, path: str, content: Any, *, etag: str | None = None) -> Any:
        """Changes something; with the ETag that was read, only where nobody else has changed it since."""
        headers = {} if etag is None else {"If-Match": etag}
        return read_answer(self.send("PATCH", path, body=encode_json(content), headers=headers))

    def edit(self, path: str, changes: Mapping[str, Any], *, revision: int | None) -> Any:
        """Changes what is not None; with the revision that was read, only where nobody else has since.

        Raises:
            Stale: it has another revision.
        """
        content = {name: value for name, value in changes.items() if value is not None}
        return self.patch(path, content, etag=None if revision is None else format_etag(revision))

    def put(self, path: str, content: Any) -> Any:
        return read_answer(self.send("PUT", path, body=encode_json(content)))

    def delete(self, path: str, parameters: Parameters | None = None) -> Any:
        return read_answer(self.send("DELETE", path, parameters=parameters))

    def send(
        self,
        method: str,
        path: str,
        *,
        parameters: Parameters | None = None,
        body: RequestBody | None = None,
        headers: Mapping[str, str] | None = None,
        is_retried: bool = False,
    ) -> httpx.Response:
        """The answer, whatever its status.

        Raises:
            Unavailable: there is none.
        """
        body = body or RequestBody()
        tried = 0
        began_at = time.monotonic()
        while True:
            tried += 1
            answer: httpx.Response | None = None
            lost: Unavailable | None = None
            try:
                with self._translate_failures():
                    answer = self._http.request(
                        method,
                        path,
                        params=drop_none(parameters),
                        content=body.content,
                        headers={**body.headers, **(headers or {})},
                        timeout=self._timeout,
                    )
            except Unavailable as error:
                lost = error
            if (
                is_retried
                and answer is not None
                and is_held(answer)
                and time.monotonic() - began_at < _LONGEST_HOLD_S
            ):
                tried -= 1  # nothing has failed: the same request is being answered
            pause_s = self._retry_rules.find_pause_s(tried, answer) if is_retried else None
            if pause_s is None:
                if answer is None:
                    assert lost is not None  # noqa: S101 - one of the two is there
                    raise lost
                return answer
            pause(pause_s)

    def do_long_work(
        self,
        path: str,
        on_progress: Progress,
        *,
        content: Any = None,
        parameters: Parameters | None = None,
        body: RequestBody | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Posts, hands on the progress that the server tells, returns the result.

        Args:
            path: of the API.
            on_progress: called for each line of progress.
            content: sent as JSON.
            parameters: of the query.
            body: sent in place of JSON.
            headers: of the request.

        Raises:
            RavenError: what the work failed with.
        """
        body = encode_json(content) if body is None else body
        with self.stream(
            "POST", path, parameters=parameters, body=body, headers=headers, is_long=True
        ) as answer:
            for line in answer.iter_lines():
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
        raise make_broken_off()

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        parameters: Parameters | None = None,
        body: RequestBody | None = None,
        headers: Mapping[str, str] | None = None,
        is_long: bool = False,
    ) -> Generator[httpx.Response]:
        """An answer that is read while it comes; what is refused is raised.

        Args:
            method: of the request.
            path: of the API.
            parameters: of the query.
            body: of the request.
            headers: of the request.
            is_long: nothing may come for as long as it likes.
        """
        body = body or RequestBody()
        with self._translate_failures():
            with self._http.stream(
                method,
                path,
                params=drop_none(parameters),
                content=body.content,
                headers={**body.headers, **(headers or {})},
                timeout=self._long_work_timeout if is_long else self._timeout,
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    raise read_problem(answer)
                yield answer

    def iterate(
        self, path: str, make: Callable[[Any], T], parameters: Parameters | None = None
    ) -> Iterator[T]:
        """The items of all pages of a list; a page is asked for when the one before is used up."""
        cursor: str | None = None
        while True:
            page = self.get(path, {**(parameters or {}), "cursor": cursor})
            for item in page["items"]:
                yield make(item)
            cursor = page["next"]
            if cursor is None:
                return

    @contextmanager
    def _translate_failures(self) -> Generator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise Unavailable(
                "client.no_answer",
                f"No answer from {self.base_url}: {str(error) or type(error).__name__}.",
                hint="Start a server with `raven serve`, or unset RAVEN_SERVER to work without one.",
                parameters={"server": self.base_url},
            ) from error
        except httpx.InvalidURL as error:
            raise Invalid("client.bad_address", f"The request has a bad address: {error}.") from error
