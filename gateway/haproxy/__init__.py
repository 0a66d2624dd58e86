"""HAProxy as the data plane: what it is told, so that it carries what the gateway would carry.

The gateway decides. What it has decided it writes into HAProxy's map, for as long as it would
remember it itself, and takes it out again. A request that HAProxy finds nothing about, or that is
not as plain as can be, goes to the gateway as if there were no HAProxy.
"""
