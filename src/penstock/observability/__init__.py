"""What the service tells about itself: logs, metrics and health. Takes primitives and arrays; knows no route."""
