"""coldsend metrics."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coldsend.metrics.catalogue import OF_DATABASE
from tests.conftest import Project


@pytest.mark.costly
def test_what_the_database_knows_is_printed_for_prometheus(project: Project) -> None:
    project.run("service", "add", "main", "--type", "console", "--from", "a@sender.example",
                "--daily-quota", "70", "--throttle-sec", "0")  # fmt: skip
    shown = project.run("metrics", "show").out
    families = {family.name: family for family in text_string_to_metric_families(shown)}
    assert set(families) <= {metric.name for metric in OF_DATABASE}
    [sample] = families["coldsend_service_quota_left"].samples
    assert (sample.labels, sample.value) == ({"service": "main"}, 70)
    assert shown.endswith("\n")
    assert not shown.endswith("\n\n")


@pytest.mark.costly
def test_scripts_get_a_list_of_samples(project: Project) -> None:
    samples = project.json("metrics", "show")
    assert {"name": "coldsend_database_up", "labels": {}, "value": 1.0} in samples
    assert {"name": "coldsend_tasks", "labels": {"status": "draft"}, "value": 0} in samples


def test_operators_do_not_see_the_services_of_others(sqlite_project: Project) -> None:
    sqlite_project.run("user", "add", "anna")
    result = sqlite_project.run("metrics", "show", "--as", "anna", check=False)
    assert result.code == 4
    assert "anna" in result.err


def test_a_database_out_of_reach_is_an_error_not_a_metric(sqlite_project: Project) -> None:
    sqlite_project.config.write_text('[database]\nurl = "mysql://nobody@127.0.0.1:1/nothing"\n')
    result = sqlite_project.run("metrics", "show", check=False)
    assert (result.code, result.out) == (5, "")
