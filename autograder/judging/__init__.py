"""Judge runs: tests over timelines, points, and the mistake that an answer behaves like."""
