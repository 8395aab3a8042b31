"""Live recognition of a camera, a stream, or a video file in its place.

`camera` provides frames and drops old ones, `sliding_window` recognizes the last seconds, `stability` decides which
glosses are final, and `live_recognizer` combines them.
"""
