"""Who removes blobs, and who keeps them."""

import threading
import time

from raven_scan.kernel.database import Database
from raven_scan.storage.removal import keep_blobs, may_remove_blobs


def test_a_backup_gets_its_turn_among_removals_without_a_pause(database: Database):
    ended = threading.Event()
    answers: list[bool] = []

    def remove() -> None:
        """As collectors do: one group of removals after the other, here of two processes that overlap."""
        while not ended.is_set():
            with database.transaction() as session:
                answers.append(may_remove_blobs(session))
                ended.wait(0.02)

    removers = [threading.Thread(target=remove) for _ in range(2)]
    for each in removers:
        each.start()
    try:
        while True not in answers:
            assert not ended.wait(0.01)
        with keep_blobs(database.engine, timeout_s=20), database.transaction() as session:
            assert not may_remove_blobs(session)
        # The lock goes with its connection, whose end the server notices by itself.
        give_up_at = time.monotonic() + 20
        is_removing = False
        while not is_removing:
            assert time.monotonic() < give_up_at
            with database.transaction() as session:
                is_removing = may_remove_blobs(session)
    finally:
        ended.set()
        for each in removers:
            each.join()
