"""The model's process: loads one artifact, proves that it works, then answers batches until it is told to stop."""
