"""The sequence encoder: reads what a user took last, item by item, and says what comes next.

``pasts`` lays its inputs out and needs no torch; ``reservoir`` keeps what it trains on, ``network`` is the model,
``loss`` what it is trained by, and ``trainer`` its training from the stream.
"""
