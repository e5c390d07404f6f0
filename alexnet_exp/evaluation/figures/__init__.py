"""The figures of a run, as Matplotlib figures that are not tied to a window or to global state."""
