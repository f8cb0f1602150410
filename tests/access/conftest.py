import pytest
from tests.access.accounts import Accounts

from raven_scan.kernel.database import Database


@pytest.fixture
def accounts(database: Database) -> Accounts:
    return Accounts(database)
