"""The resolver: a planning environment, and real `uv` on it. uv gets only what we serialised ourselves."""
