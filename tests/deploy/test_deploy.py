"""What is shipped for running the program: alert rules, dashboard, unit, manifests, compose file.

Each is read by the tool that will read it in production where that tool is a Debian or Python package, and compared
with the program's source: a dashboard must not ask for a metric that does not exist.
"""

import json
import pathlib
import re
import subprocess
import unittest

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
# Of Prometheus itself and of the crate that reads the process's state.
FOREIGN = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"}
NAME = re.compile(r"\b(?:livestream|media|process)_[a-z_]+\b|\b(?:active|live)_streams\b|\btotal_participants\b")


def run(*command: str, cwd: pathlib.Path = DEPLOY) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def known_metrics() -> set[str]:
    """All metric names that stand in the source, with what histograms make of them."""
    source = "\n".join(file.read_text() for file in (ROOT / "crates").glob("*/src/**/*.rs"))
    names = set(re.findall(r'"((?:livestream|media)_[a-z_]+|(?:active|live)_streams|total_participants)"', source))
    names |= set(re.findall(r"# TYPE ([a-z_]+) ", source))
    return names | {f"{name}{end}" for name in names for end in ("_bucket", "_sum", "_count")} | FOREIGN


def used(text: str) -> set[str]:
    return set(NAME.findall(text))


class Prometheus(unittest.TestCase):
    def test_rules_and_configuration_are_sound(self):
        run("promtool", "check", "config", "prometheus.yml", cwd=DEPLOY / "prometheus")

    def test_each_alert_fires_when_it_should_and_a_healthy_hour_is_quiet(self):
        run("promtool", "test", "rules", "alerts.test.yml", cwd=DEPLOY / "prometheus")

    def test_every_alert_is_tried_and_has_a_runbook(self):
        rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
        tried = (DEPLOY / "prometheus/alerts.test.yml").read_text()
        manual = (ROOT / "docs/operate.md").read_text()
        for rule in rules:
            name = rule["alert"]
            self.assertIn(f'alertname="{name}"', tried, "no test makes it fire")
            self.assertEqual(rule["annotations"]["runbook"], f"docs/operate.md#{name.lower()}")
            self.assertIn(f"### {name}\n", manual, "no runbook")

    def test_only_metrics_that_exist_are_asked_for(self):
        known = known_metrics()
        rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
        for rule in rules:
            self.assertFalse(used(rule["expr"]) - known, rule["alert"])


class Grafana(unittest.TestCase):
    def setUp(self):
        self.dashboard = json.loads((DEPLOY / "grafana/livestream.json").read_text())
        self.panels = [panel for panel in self.dashboard["panels"] if panel["type"] != "row"]

    def test_only_metrics_that_exist_are_asked_for(self):
        known = known_metrics()
        for panel in self.panels:
            for target in panel["targets"]:
                self.assertTrue(used(target["expr"]), panel["title"])
                self.assertFalse(used(target["expr"]) - known, panel["title"])

    def test_queries_are_promql(self):
        """promtool reads rules only, so each query is put into one."""
        rules = []
        for index, panel in enumerate(self.panels):
            for target in panel["targets"]:
                expr = target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*").replace("$instance", ".*")
                rules.append({"record": f"panel:{index}:{target['refId'].lower()}", "expr": expr})
        text = yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]})
        done = subprocess.run(["promtool", "check", "rules", "/dev/stdin"], input=text, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_panels_do_not_overlap(self):
        cells = set()
        for panel in self.dashboard["panels"]:
            at = panel["gridPos"]
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    self.assertNotIn((x, y), cells, panel["title"])
                    cells.add((x, y))


class Kubernetes(unittest.TestCase):
    def setUp(self):
        self.objects = list(yaml.safe_load_all((DEPLOY / "kubernetes/livestream.yaml").read_text()))

    def test_manifests_follow_the_schema(self):
        for one in self.objects:
            with self.subTest(one["kind"]):
                kubernetes_validate.validate(one, "1.31", strict=True)

    def test_pods_end_later_than_the_program(self):
        kinds = {one["kind"]: one for one in self.objects}
        pod = kinds["Deployment"]["spec"]["template"]["spec"]
        pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
        self.assertGreater(pod["terminationGracePeriodSeconds"], pause + int(kinds["ConfigMap"]["data"]["SHUTDOWN_TIMEOUT"]))
        self.assertGreater(kinds["Deployment"]["spec"]["replicas"], kinds["PodDisruptionBudget"]["spec"]["minAvailable"])


class Settings(unittest.TestCase):
    """Variables named by deployment files are settings of the program."""

    def test_every_variable_exists(self):
        manual = (ROOT / "crates/livestream/src/config/default.toml").read_text()
        settings = {name.upper() for name in re.findall(r"^#?([a-z_]+) = ", manual, re.MULTILINE)}
        compose = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())
        named = set(compose["x-livestream"]["environment"])
        kinds = {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes/livestream.yaml").read_text())}
        named |= set(kinds["ConfigMap"]["data"])
        docker = (DEPLOY / "docker/Dockerfile").read_text()
        named |= set(re.findall(r"([A-Z_]+)=", re.search(r"^ENV (HOST.*)$", docker, re.MULTILINE)[1]))
        unit = (DEPLOY / "systemd/livestream.service").read_text()
        named |= set(re.findall(r"([A-Z_]+)=", re.search(r"^Environment=(.*)$", unit, re.MULTILINE)[1]))
        self.assertFalse(named - settings)


class Compose(unittest.TestCase):
    def test_nginx_gets_the_recipe_with_the_names_of_the_network(self):
        compose = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())
        command = compose["services"]["nginx"]["command"][2]
        script = command.split(" /recipe/")[0].replace("$$", "$")
        recipe = str(DEPLOY / "nginx/livestream.conf")
        made = subprocess.run(["sh", "-c", f"{script} {recipe}"], capture_output=True, text=True, check=True).stdout
        self.assertNotIn("127.0.0.1:", made)
        for name in ("livestream-a:3000", "livestream-b:3000", "livekit:7880"):
            self.assertIn(f"server {name};", made)
            self.assertIn(name.split(":")[0], compose["services"])
        self.assertIn("listen 8080;", made)


class Systemd(unittest.TestCase):
    def test_exposure_is_low(self):
        unit = DEPLOY / "systemd/livestream.service"
        run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit))


if __name__ == "__main__":
    unittest.main()
