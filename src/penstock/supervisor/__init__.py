"""The process that starts, watches and restarts all the others, and holds what must outlive them."""
