"""What messages advise: the option of a command, and what a caller in Python does instead."""

BY_ORDER = "--by-order (in Python, leave the ids out)"
ON_BAD = "--on-bad skip (in Python, on_bad='skip')"
MODELS = "--models (in Python, give its arrays as (mean, scale))"
IDS = "ids must be all integers or all strings"
OTHER_IDS = f"Name another column by --id (in Python, rename that to 'id'), or join rows by order: {BY_ORDER}."
NO_IDS = f"{IDS}. Save the column as strings, if it identifies the rows. {OTHER_IDS}"
