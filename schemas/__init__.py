"""What is said: every message as a frozen value, and the codecs that carry it."""
