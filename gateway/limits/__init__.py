"""What one person, or one address, may take of the gateway, so that others are still served.

``Limits`` says when somebody is over; ``Turns`` shares the event loop between people; ``Door`` holds
connections to their number; ``Upload`` ends bodies that stand still; ``Holding`` counts what messages
under way hold; ``host`` asks the kernel for what only it can do.
"""

from .door import Door
from .holding import PIECE_BYTES, Held
from .limits import Limits, Over, Settings
from .turns import Turns
from .upload import Upload

__all__ = ["PIECE_BYTES", "Door", "Held", "Limits", "Over", "Settings", "Turns", "Upload"]
