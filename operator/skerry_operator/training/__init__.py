"""Training rows as nodes would have served them: `skerry features build`."""
