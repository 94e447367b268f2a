"""Prior knowledge injection: what the model is told about the classes (paper: PA_p)."""
