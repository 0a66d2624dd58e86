"""A site's own settings, with ``impatient``."""

from tests.integration.databases.own_settings import *  # noqa: F403
from tests.integration.databases.own_settings import INSTALLED_APPS

INSTALLED_APPS.append("tests.integration.databases.impatient.Impatient")
