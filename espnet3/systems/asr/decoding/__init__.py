"""From a model's output to text: `greedy`, `prefix_beam` (CTC with an n-gram) and `joint_beam` (CTC with attention)."""
