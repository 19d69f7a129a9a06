"""Is a copy of a data set whole and right? One question a file; `command` asks them all."""
