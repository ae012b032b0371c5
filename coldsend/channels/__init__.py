"""HOW a message leaves: one small seam (seam.py) and a channel per way of sending."""
