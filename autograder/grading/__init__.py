"""The class's loop: submissions in, results out, side by side and only once."""
