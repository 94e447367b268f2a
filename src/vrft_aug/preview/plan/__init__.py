"""`vrft plan`: will a run fit a card, and how long will it take, from config and recipe alone."""
