"""The flow of events. Read ``stages`` first, in the order of an event; they use ``runs`` and ``kafka``."""
