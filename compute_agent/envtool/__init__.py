"""``aen env``: what people do with their environments, and how conda packages are put into one.

The node copies this package into a small environment of its own, where the rest of AEN is not
installed: so it imports nothing else of AEN, and rattler only where conda packages are worked on.
"""
