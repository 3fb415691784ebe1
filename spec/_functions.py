"""The functions, their arguments and their outputs, by the names that SPEC.md gives them."""

TOKEN = "token_cross_entropy"
WEIGHTED = "compute_weighted_cross_entropy"
DENSE = "cross_entropy_with_logits"
FACTOR = "get_loss_normalizing_factor_and_weights"

OUTPUTS = {
    TOKEN: ("loss", "z_loss", "log_z"),
    WEIGHTED: ("loss", "z_loss", "weight_sum"),
    DENSE: ("loss", "z_loss"),
}

# What a token's results have besides, if `also` names it, in the order of the fields.
FURTHER = ("target_log_probability", "predicted_class", "entropy")

SCALARS = ("label_smoothing", "z_loss", "loss_normalizing_factor")

# The order of the arguments; what a function does not list it does not take.
ARGUMENTS = {
    TOKEN: ("logits", "targets", "label_smoothing", "z_loss"),
    WEIGHTED: ("logits", "targets", "weights", *SCALARS),
    DENSE: ("logits", "targets", "z_loss"),
}

# Arguments that a target may lack; they are passed by name, and never traced. No case has an axis_name of its own: how
# the classes are split is said beside it (`Target.split`), because the exact answer does not depend on it.
KEYWORDS = {
    TOKEN: ("smoothing", "subtract_entropy", "logit_softcap", "also", "axis_name"),
    WEIGHTED: ("smoothing", "subtract_entropy", "logit_softcap", "axis_name"),
    DENSE: ("axis_name",),
}
