"""A run handed to others: model, card, recipe and figures in a folder or on the hub, and nothing private."""
