class ServicesFailed(RuntimeError):
    """The embedded servers cannot be had; the message says why and how to mend it."""
