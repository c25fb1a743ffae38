"""HTTP: the application, the lane, the dialects, and the protocol with its limits."""
