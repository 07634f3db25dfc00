"""What flows. Read ``stages`` in the order in which an event meets them; each stands on ``runs`` and ``kafka``."""
