"""A site's way to its hub: it dials out, brings the assignment down and takes the report up."""
