"""`replay --publish`: a paced replay into a topic, which is a tape like any other."""

import unittest

from kafka_test import SESSION, KafkaTest


class Publish(KafkaTest):
    def test_what_is_published_folds_to_the_same_digests(self):
        folder = self.path("tape")
        self.succeeds("record", *SESSION, "--tape", folder)
        topic = self.topic("state")
        publish = ["--publish", topic[3], "--brokers", self.brokers]
        self.succeeds("replay", "--tape", folder, *publish)
        self.assertEqual(self.digests(topic), self.digests(folder))
        self.assertIn("no difference", self.succeeds("diff", *topic, "--other", folder).stdout)
        self.succeeds("tape", "verify", *topic)
        self.assertIn("already", self.succeeds("record", *SESSION, *topic).stdout)
        self.fails(2, "empty tape", "replay", "--tape", folder, *publish)
        self.fails(2, "onto itself", "replay", *topic[:4], "--publish", topic[3])
        self.fails(2, "--loop", "replay", "--tape", folder, "--loop", *publish)


if __name__ == "__main__":
    unittest.main()
