"""`tapedeck chaos run`: every scenario holds, and the report says what was done."""

import json
import pathlib

from harness import SEED, ProcessTest, run

KAFKA = str(pathlib.Path(__file__).resolve().parents[2] / "scripts" / "kafka")
SCENARIOS = ("actors", "kill", "corrupt", "disk", "bitrot", "slow-reader")


class Scenarios(ProcessTest):
    def play(self, scenario, seed=SEED):
        """One round of it."""
        report = self.path(f"{scenario}.json")
        done = self.succeeds("chaos", "run", "--scenario", scenario, "--seed", seed, "--duration", "1ns", "--kafka",
                             KAFKA, "--report", report, "--directory", self.path(scenario))
        print(done.stdout)
        with open(report, encoding="utf-8") as file:
            return json.load(file)

    def check_holds(self, scenario):
        report = self.play(scenario)
        self.assertTrue(report["held"])
        one, = report["scenarios"]
        self.assertEqual((one["scenario"], one["verdict"], one["why"]), (scenario, "held", None))
        self.assertGreater(sum(one["injected"].values()), 0)
        self.assertGreater(sum(one["checked"].values()), 0)


class Chaos(Scenarios):
    def test_every_scenario_on_an_embedded_tape_holds(self):
        for scenario in SCENARIOS:
            with self.subTest(scenario=scenario):
                self.check_holds(scenario)

    def test_twenty_kills_lose_and_double_nothing(self):
        kills, seed = 0, SEED
        while kills < 20:
            seed += 1
            injected = self.play("kill", seed)["scenarios"][0]["injected"]
            kills += sum(count for what, count in injected.items() if what.startswith("kill -9"))
        print(f"{kills} kills")

    def test_a_seed_fixes_what_is_injected_into_an_input(self):
        first, second = (self.play("corrupt")["scenarios"][0] for _ in range(2))
        self.assertEqual((first["injected"], first["checked"]), (second["injected"], second["checked"]))

    def test_bad_arguments_are_named(self):
        self.fails(2, "--scenario: expected one of all, actors", "chaos", "run", "--scenario", "nothing")
        self.fails(2, "--duration", "chaos", "run", "--duration", "soon")


class ChaosKafka(Scenarios):
    def test_a_broker_that_dies_and_a_network_that_is_spoilt_lose_and_double_nothing(self):
        for scenario in ("broker", "network"):
            with self.subTest(scenario=scenario):
                self.check_holds(scenario)

    def test_without_a_script_for_a_broker_it_cannot_run(self):
        done = run("chaos", "run", "--scenario", "broker", "--kafka", "/nowhere", "--duration", "1ns", "--directory",
                   self.path("nowhere"))
        self.assertEqual(done.returncode, 3, done.stdout)
        self.assertIn("--kafka", done.stdout)
