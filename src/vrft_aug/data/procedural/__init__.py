"""Pictures drawn on the fly with exact findings, boxes and grades; free of torch."""
