"""What one person, or one address, may take of the gateway, so that others are still served.

``Limits`` says when somebody is over; ``Turns`` shares the event loop between people; ``Door`` holds
connections to their number; ``Upload`` ends bodies that stand still; ``host`` asks the kernel for what
only it can do.
"""

from .door import Door
from .limits import Limits, Over, Settings
from .turns import Turns
from .upload import Upload

__all__ = ["Door", "Limits", "Over", "Settings", "Turns", "Upload"]
