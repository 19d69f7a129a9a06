"""From a raw video to a timeline of expressions."""
