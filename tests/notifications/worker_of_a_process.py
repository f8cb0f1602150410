"""A process with a worker that sends notifications until it is killed; the settings come from the environment."""

import os

from sqlalchemy import make_url

from raven_scan.access.types import WORKER
from raven_scan.jobs.queue import JobQueue
from raven_scan.jobs.worker import QueueWorker
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.service import NotificationService
from raven_scan.notifications.tasks import SendingJob
from raven_scan.notifications.types import SEND_TASK

url = make_url(os.environ["RAVEN_DATABASE_URL"])
service = NotificationService(
    Database(os.environ["RAVEN_DATABASE_URL"]), JobQueue(), Settings(), SystemClock()
)
conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
worker = QueueWorker(conninfo, {SEND_TASK: SendingJob(service, WORKER)}, name=f"killed:{os.getpid()}")
worker.start()
worker.join()
