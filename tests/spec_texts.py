"""A recipe's files as the interface's documentation has them, word for word."""

RECIPE_SYSTEM = """\
from espnet3.systems.asr.system import ASRSystem

class RecipeSystem(ASRSystem):
    def export_debug(self):
        output_dir = self.exp_dir / "debug_export"
        output_dir.mkdir(parents=True, exist_ok=True)
        return output_dir
"""
RUN = """\
from src.system import RecipeSystem
from espnet3.utils.run_utils import main, parse_args

DEFAULT_STAGES = [
    "create_dataset",
    "collect_stats",
    "train",
    "infer",
    "measure",
    "export_debug",
]
SYSTEM_CLS = RecipeSystem

if __name__ == "__main__":
    args = parse_args(DEFAULT_STAGES)
    main(args=args, system_cls=RecipeSystem)
"""
