"""The learner's tools: `check` in a notebook and in a terminal, JupyterLab, and pytest."""
