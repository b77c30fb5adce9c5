"""The AN4 recipe: which System, which stages, in which order. Settings are in conf/, the corpus in dataset/."""

from espnet3.systems.asr.system import ASRSystem
from espnet3.utils.run_utils import main, parse_args

DEFAULT_STAGES = [
    "create_dataset",
    "train_tokenizer",
    "collect_stats",
    "train",
    "infer",
    "measure",
    "pack_model",
    "pack_demo",
]  # upload_model and upload_demo run by name: --stages upload_model upload_demo
SYSTEM_CLS = ASRSystem

if __name__ == "__main__":
    args = parse_args(stages=DEFAULT_STAGES)
    main(args=args, system_cls=SYSTEM_CLS)
