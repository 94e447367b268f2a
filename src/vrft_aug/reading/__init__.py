"""How models write answers: characters, wrappers, letters, lists, numbers, yes and no, read leniently."""
