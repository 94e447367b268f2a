"""The rollout browser: `vrft view`, and the page that answers about a picture: `vrft ui`."""
