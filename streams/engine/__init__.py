"""The data plane: chunks in, one journal frame out, effects after the frame is durable."""
