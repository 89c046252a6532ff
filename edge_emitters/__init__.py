"""What the edge says: telemetry, location and load, without any opinion on them."""
