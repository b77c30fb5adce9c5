"""Word error rate; conf/metrics.yaml names it by `_target_`."""

from espnet3.components.metrics.edit_rate import EditRate


class WER(EditRate):
    """Word errors in percent of the reference's words; a word is what white space separates."""

    unit = "words"
    default_name = "wer"
