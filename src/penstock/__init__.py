"""Penstock turns a trained model into a production service."""

__version__ = "0.1.0"
