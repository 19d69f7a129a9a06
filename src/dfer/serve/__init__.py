"""Recognition as a web service."""
