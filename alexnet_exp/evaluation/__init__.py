"""From predictions to a report, statistics and figures."""
