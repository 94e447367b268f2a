"""What data is, as far as it shows: the first recipe of `vrft init --from`."""
