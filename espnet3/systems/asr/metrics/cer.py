"""Character error rate; conf/metrics.yaml names it by `_target_`."""

from espnet3.components.metrics.edit_rate import EditRate


class CER(EditRate):
    """Character errors in percent of the reference's characters: code points, the spaces between words included."""

    unit = "characters"
    default_name = "cer"
