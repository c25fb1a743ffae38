"""What a model is, shared by every process: signature, manifest, trust, frames and control messages."""
