"""Films: read frame by frame, drawn, and written frame by frame.

`frames` says what a frame and a film are, `reading` and `sequences` open films, animations and
numbered pictures, `writing` writes them. None holds more than a few frames, however long a
film is. PyAV is imported where it is needed and nowhere else.
"""
