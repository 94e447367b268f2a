"""Studies: factors by levels by seeds over a recipe, cell by cell, and what they show.

- `study_file`: the YAML of a study; the shipped ones lie in shipped/
- `cells`: a recipe for every cell and seed, and where its run lies
- `one_cell`: the process that trains a cell
- `local_cells`, `slurm_cells`: many such processes, here or on a cluster
- `study_run`: a study from its file to its page
"""
