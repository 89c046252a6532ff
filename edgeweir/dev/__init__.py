"""A whole estate on one machine: local Kafka, supervisor, doctor and scenarios."""
