"""The read-only window: its own process and consumer; sees topics, never controllers."""
