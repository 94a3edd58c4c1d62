"""The backend: checks who signed, orders the evidence, anchors it and proves it. Its composition root is main.py."""
