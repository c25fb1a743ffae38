"""What the protocol, the lane and the application tell each other in the ASGI scope, and the clock they share."""

import time

ARRIVED = "penstock.arrived"
"""When the first byte of the request came, in seconds of `clock`."""
CODES = "penstock.codes"
"""Where the application notes the code of an error that it answers with, and the rest of the envelope finds it."""
FIELDS = "penstock.fields"
"""The headers by name, the last of each, where the protocol has put them together already."""
GONE = "penstock.gone"
"""What to call when the client goes away before its answer."""
KEY = "penstock.key"
"""The key that came with the request, where one was needed."""
REFUSED = "penstock.refused"
"""The error with which to answer a request whose body will not arrive whole."""

clock = time.perf_counter
