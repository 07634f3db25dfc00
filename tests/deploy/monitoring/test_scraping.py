from __future__ import annotations

from afresh.deploy.monitoring.scraping import EMBED_WORKER, WORKER, scraping


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


def test_alerts_and_dashboards_find_the_jobs_by_the_beginning_of_their_names() -> None:
    assert EMBED_WORKER.startswith(WORKER)
