"""What is true of a run: tests over timelines, points, and the mistake that an answer behaves like."""
