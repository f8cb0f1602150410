"""A wire to a server that can be cut."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Wire:
    """Passes bytes between clients and a server on this machine.

    Args:
        endpoint: of the server.
        cuts: how many connections break.
        cut_after_bytes: they break after the server sent so many bytes.
        hold_after_bytes: after so many bytes from clients nothing passes any more.
    """

    def __init__(
        self, endpoint: str, *, cuts: int = 0, cut_after_bytes: int = 0, hold_after_bytes: int | None = None
    ) -> None:
        parts = urlsplit(endpoint)
        self._server = (str(parts.hostname), int(parts.port or 80))
        self._cuts = cuts
        self._cut_after_bytes = cut_after_bytes
        self._hold_after_bytes = hold_after_bytes
        self._lock = threading.Lock()
        self._sent_bytes = 0
        self.cut_count = 0
        self.held = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        _close(self._listener)
        for each in self._open:
            _close(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                threading.Thread(target=self._pass_up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_down, args=(server, client), daemon=True).start()

    def _pass_up(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(1 << 16):
                with self._lock:
                    self._sent_bytes += len(piece)
                    if self._hold_after_bytes is not None and self._sent_bytes > self._hold_after_bytes:
                        self.held.set()
                        return
                server.sendall(piece)
        _close(server)

    def _pass_down(self, server: socket.socket, client: socket.socket) -> None:
        received = 0
        with contextlib.suppress(OSError):
            while piece := server.recv(1 << 16):
                received += len(piece)
                with self._lock:
                    is_cut = received > self._cut_after_bytes and self.cut_count < self._cuts
                    self.cut_count += is_cut
                if is_cut:
                    break
                client.sendall(piece)
        _close(client)


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
