"""Digests of directories by inode, in the form in which they are stored and sent. Pure."""

import struct

Records = dict[int, bytes]
_RECORD = struct.Struct("=Q16s")


def pack(records: Records) -> bytes:
    """Return the records as bytes, 24 for each."""
    return b"".join(_RECORD.pack(inode, digest) for inode, digest in records.items())


def unpack(data: bytes) -> Records:
    """Return the records in ``data``; raises ``struct.error`` for a part of one."""
    return dict(_RECORD.iter_unpack(data))
