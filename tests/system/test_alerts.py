"""The chart's alerts: every one fires when it should and is silent when it should be, is explained, and reads metrics that exist."""

import json
import os
import re
import subprocess

import pytest
from alert_cases import CASES, AlertCase
from chart import render, yaml_documents
from stack import ROOT

DASHBOARD = os.path.join(ROOT, "helm", "offboard", "files", "dashboard.json")


def promtool(*words: str, folder: str | None = None) -> str:
    done = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def groups() -> list[dict]:
    """As a customer's Prometheus gets them."""
    rule, = (one for one in yaml_documents(render("all.yaml")) if one["kind"] == "PrometheusRule")
    return rule["spec"]["groups"]


@pytest.fixture(scope="module")
def rules(groups, tmp_path_factory) -> str:
    """A file for promtool: JSON is YAML."""
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(json.dumps({"groups": groups}), encoding="utf-8")
    return str(path)


def alerts(groups: list[dict]) -> dict[str, dict]:
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def filled(text: str, labels: dict[str, str]) -> str:
    return re.sub(r"{{ \$labels\.(\w+) }}", lambda found: labels[found[1]], text)


def trial(case: AlertCase, rule: dict, series: dict[str, str], fires: bool) -> dict:
    labels = {**case.labels, "severity": case.severity}
    annotations = {"summary": case.summary, "description": filled(rule["annotations"]["description"], labels),
                   "runbook_url": rule["annotations"]["runbook_url"]}
    expected = [{"exp_labels": labels, "exp_annotations": annotations}] if fires else []
    return {"name": f"{case.alert} {'fires' if fires else 'is silent'}", "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [{"eval_time": f"{case.at}m", "alertname": case.alert, "exp_alerts": expected}]}


def test_rules_are_in_order(rules):
    assert "SUCCESS" in promtool("check", "rules", rules)


def test_each_fires_and_each_is_silent(groups, rules):
    known = alerts(groups)
    assert {case.alert for case in CASES} == known.keys() - {"OffboardFeedSilentWorkday"}, "a case for each, and none for what is gone"
    tests = [trial(case, known[case.alert], series, fires) for case in CASES
             for series, fires in ((case.fires, True), (case.quiet, False))]
    folder = os.path.dirname(rules)
    with open(os.path.join(folder, "test.yaml"), "w", encoding="utf-8") as file:
        json.dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}, file)
    promtool("test", "rules", "test.yaml", folder=folder)


def test_a_feed_may_have_a_time_of_its_own(groups):
    """all.yaml gives one to workday."""
    known = alerts(groups)
    assert 'source="workday"' in known["OffboardFeedSilentWorkday"]["expr"] and "> 86400" in known["OffboardFeedSilentWorkday"]["expr"]
    assert 'source!~"workday"' in known["OffboardFeedSilent"]["expr"]


def test_no_threshold_is_left_open(groups):
    assert not re.search(r"\$[a-zA-Z]+\$", json.dumps(groups))


def test_each_is_explained(groups):
    with open(os.path.join(ROOT, "docs", "alerts.md"), encoding="utf-8") as file:
        page = file.read()
    assert set(re.findall(r"^## (Offboard\w+)$", page, re.MULTILINE)) == {
        name.replace("FeedSilentWorkday", "FeedSilent") for name in alerts(groups)}
    for name, rule in alerts(groups).items():
        assert rule["labels"]["severity"] in ("critical", "warning") and rule["annotations"]["runbook_url"].startswith("https://")
        assert rule["annotations"]["runbook_url"].endswith("#" + name.replace("FeedSilentWorkday", "FeedSilent").lower())


# What they read.

def metrics_of_the_programs() -> set[str]:
    """Names as they stand in the sources."""
    names = set()
    for folder in ("lib", "edge", "producer", "worker", "logger", "scheduler", "vault"):
        for name in os.listdir(os.path.join(ROOT, folder)):
            if name.endswith(".c"):
                with open(os.path.join(ROOT, folder, name), encoding="utf-8") as file:
                    names |= set(re.findall(r'"((?:offboard|process)_[a-z_]+)"', file.read()))
    return names


def metrics_in(expression: str) -> set[str]:
    found = re.findall(r"(?<![:\w])((?:offboard|process)_[a-z_]+)", re.sub(r'"[^"]*"', "", expression))
    return {re.sub(r"_(bucket|sum|count)$", "", name) if re.search(r"_seconds_(bucket|sum|count)$", name) else name for name in found}


def panels() -> list[dict]:
    with open(DASHBOARD, encoding="utf-8") as file:
        found = json.load(file)["panels"]
    return [*found, *(inner for panel in found for inner in panel.get("panels", []))]


def test_what_alerts_and_dashboard_read_exists(groups):
    known = metrics_of_the_programs()
    expressions = [rule["expr"] for group in groups for rule in group["rules"]]
    expressions += [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    read = set().union(*(metrics_in(expression) for expression in expressions))
    assert read and read <= known, f"nobody tells {sorted(read - known)}"


# The dashboard.

def test_each_panel_says_what_it_shows():
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    for panel in found:
        assert panel["title"], panel
        if panel["type"] != "row":
            assert panel["description"] and panel["targets"] and panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_panels_do_not_overlap():
    taken = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells


def test_its_expressions_can_be_read(tmp_path):
    """Grafana's variables filled in, each as a rule."""
    rules = []
    for panel in panels():
        for number, target in enumerate(panel.get("targets", [])):
            expression = target["expr"].replace("$namespace", "o").replace("$system", ".*").replace("$__rate_interval", "5m").replace(
                "$__range", "1h")
            assert "$" not in expression, expression
            rules.append({"record": f"panel:{panel['id']}:{number}", "expr": expression})
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    promtool("check", "rules", str(path))
