from dataclasses import replace

import numpy as np

from afresh.models.retrieval.asking import ASK_LONG, LIKENESS_UNIT
from afresh.models.retrieval.codes import decoded
from afresh.models.scorers.cases import catalogue, user, without_text
from afresh.models.scorers.text import SHARPNESS
from tests.models.making import filled, scores


def test_text_scores_the_likeness_to_the_whole_history_and_to_its_nearest_item() -> None:
    items, who = catalogue(), user()
    embeddings = decoded(items.codes, items.scales)
    cosines = embeddings @ embeddings[who.history].T
    weights = ASK_LONG.weights(who.ages)
    raw = scores(who, items)
    mean = cosines @ weights / weights.sum()
    np.testing.assert_allclose(raw["text"], np.exp(SHARPNESS * mean), rtol=1e-4)
    np.testing.assert_allclose(raw["nearest"], np.exp(SHARPNESS * cosines.max(axis=1)), rtol=1e-4)
    np.testing.assert_allclose(raw["cold_text"], np.exp(SHARPNESS * mean * raw["new"]), rtol=1e-4)


def test_akin_scores_items_among_the_nearest_texts_of_the_history() -> None:
    items, who = catalogue(), user()
    likeness = filled(items.akin, LIKENESS_UNIT * items.likeness)
    expected = ASK_LONG.weights(who.ages) @ likeness[who.history] ** SHARPNESS
    np.testing.assert_allclose(scores(who, items)["akin"], expected, rtol=1e-4)


def test_without_texts_the_text_scorers_score_nothing() -> None:
    raw = scores(user(), without_text(catalogue()))
    for name in ("text", "nearest", "cold_text", "akin"):
        assert not raw[name].any()


def test_an_item_of_the_history_without_a_text_is_skipped() -> None:
    items, who = catalogue(), user()
    codes, scales = items.codes.copy(), items.scales.copy()
    codes[who.history[1:]], scales[who.history[1:]] = 0, 0
    alone = replace(who, history=who.history[:1], ages=who.ages[:1])
    some, one = (scores(each, items._replace(codes=codes, scales=scales))["text"] for each in (who, alone))
    np.testing.assert_allclose(some, one, rtol=1e-5)
