"""One's own loop: check in a notebook and in a terminal, the laboratory's JupyterLab, pytest beside it."""
