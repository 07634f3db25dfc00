from __future__ import annotations

from afresh.deploy.monitoring.scraping import EMBED_WORKER, MODEL_WORKER, WORKER, scraping


def test_every_page_is_a_job_of_its_own_and_the_rules_are_read() -> None:
    made = scraping({WORKER: "a:1", EMBED_WORKER: "b:2"}, 15)
    assert [line.split()[-1] for line in made.splitlines() if "job_name" in line or "targets" in line] == [
        WORKER,
        '["a:1"]',
        EMBED_WORKER,
        '["b:2"]',
    ]
    assert "- rules.yml" in made
    assert "scrape_interval: 15s" in made


def test_a_job_that_not_every_deployment_has_is_there_once_its_comment_signs_are_taken_away() -> None:
    made = scraping({WORKER: "a:1"}, 15, {MODEL_WORKER: "b:2"})
    assert made.splitlines()[-3:] == [
        f"  # - job_name: {MODEL_WORKER}",
        "  #   static_configs:",
        '  #     - targets: ["b:2"]',
    ]
    assert made.replace("# ", "") == scraping({WORKER: "a:1", MODEL_WORKER: "b:2"}, 15)


def test_alerts_and_dashboards_find_the_jobs_by_the_beginning_of_their_names() -> None:
    assert EMBED_WORKER.startswith(WORKER)
    assert MODEL_WORKER.startswith(WORKER)
