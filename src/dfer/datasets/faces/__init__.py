"""Raw labelled videos to a data set of face clips."""
