"""`vrft bench`: stock TRL beside prefix sharing on the same model, data, seeds and shapes.

- `cases`: the shapes that a preset measures
- `arms`: one case as two trainers, stock and shared
- `measure`: steps in turns, by part; equality of log-probabilities and gradients
- `memory`: the peak of each arm, in a process of its own
- `run`: a whole preset
- `settings_cost`: what each setting beyond the paper adds to a step
- `page`: docs/measured/performance.md from saved results
"""
