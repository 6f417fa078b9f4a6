"""Grade a class: submissions in, results out, in parallel, each only once."""
