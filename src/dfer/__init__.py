"""Dynamic facial expression recognition: HDF, RDFER, SAFE, and all they need."""
