"""From validated rows to their answers: versions, batches, and the links to the hosts that compute them."""
