"""Another Kafka client (confluent-kafka) at work, run by the Python that `scripts/kafka client` makes.

usage: other_client.py BROKERS create TOPIC PARTITIONS [REPLICAS SETTING=VALUE ...]    replicas: 2,1
       other_client.py BROKERS delete TOPIC
       other_client.py BROKERS cut TOPIC PARTITION OFFSET    deletes the records below
       other_client.py BROKERS produce TOPIC [PARTITIONER]   lines of JSON from stdin: key, value, and where wanted
                                                            headers, partition, timestamp (ms); null is no key
       other_client.py BROKERS consume TOPIC                 committed records up to the end as lines of JSON
       other_client.py BROKERS join TOPIC GROUP NAME        becomes the group's member NAME, and ends without leaving
"""

import json
import os
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

DEADLINE_S = 60


def create(brokers, topic, partitions, replicas="", *settings):
    client = AdminClient({"bootstrap.servers": brokers})
    where = {"replica_assignment": [[int(one) for one in replicas.split(",")]] * int(partitions)} if replicas else {
        "replication_factor": 1}
    wanted = NewTopic(topic, int(partitions), config=dict(one.split("=") for one in settings), **where)
    end = time.monotonic() + DEADLINE_S
    while True:
        try:
            return client.create_topics([wanted])[topic].result(DEADLINE_S)
        except KafkaException as refused:  # one of that name may just be going
            if refused.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS or time.monotonic() > end:
                raise
            time.sleep(0.1)


def delete(brokers, topic):
    client = AdminClient({"bootstrap.servers": brokers})
    client.delete_topics([topic])[topic].result(DEADLINE_S)


def cut(brokers, topic, partition, offset):
    client, where = AdminClient({"bootstrap.servers": brokers}), TopicPartition(topic, int(partition), int(offset))
    client.delete_records([where])[where].result(DEADLINE_S)


def produce(brokers, topic, partitioner="murmur2_random"):
    failed = []
    client = Producer({"bootstrap.servers": brokers, "partitioner": partitioner, "enable.idempotence": True})
    for line in sys.stdin:
        record = json.loads(line)
        more = {name: record[name] for name in ("partition", "timestamp") if name in record}
        while True:
            try:
                client.produce(topic, key=record["key"], value=record["value"],
                               headers=list(record.get("headers", {}).items()),
                               on_delivery=lambda error, _: failed.append(error) if error else None, **more)
                break
            except BufferError:
                client.poll(0.1)
        client.poll(0)
    left = client.flush(DEADLINE_S)
    if left or failed:
        sys.exit(f"{left} records did not get through, {failed[:1]}")


def consume(brokers, topic):
    client = Consumer({"bootstrap.servers": brokers, "group.id": "nobody", "enable.auto.commit": False,
                       "isolation.level": "read_committed", "enable.partition.eof": True,
                       "auto.offset.reset": "earliest"})
    partitions = client.list_topics(topic, DEADLINE_S).topics[topic].partitions
    client.assign([TopicPartition(topic, p, 0) for p in partitions])
    open_ends, end = set(partitions), time.monotonic() + DEADLINE_S
    while open_ends:
        if time.monotonic() > end:
            sys.exit("the topic's end did not come")
        message = client.poll(1.0)
        if message is None:
            continue
        if message.error():
            if message.error().code() != -191:  # the partition's end
                raise KafkaException(message.error())
            open_ends.discard(message.partition())
            continue
        key, value = message.key(), message.value()
        print(json.dumps({"partition": message.partition(), "offset": message.offset(),
                          "key": key if key is None else key.decode("latin-1"),
                          "value": value if value is None else value.decode("latin-1"),
                          "headers": [[name, text.decode("latin-1")] for name, text in message.headers() or []]}))
    client.close()


def join(brokers, topic, group, name):
    client = Consumer({"bootstrap.servers": brokers, "group.id": group, "group.instance.id": name,
                       "partition.assignment.strategy": "cooperative-sticky", "enable.auto.commit": False})
    client.subscribe([topic])
    end = time.monotonic() + DEADLINE_S
    while not client.assignment():
        if time.monotonic() > end:
            sys.exit("the group gave it nothing")
        client.poll(0.1)
    os._exit(0)  # closing would take what it was given back


if __name__ == "__main__":
    commands = {"create": create, "delete": delete, "cut": cut, "produce": produce, "consume": consume, "join": join}
    commands[sys.argv[2]](sys.argv[1], *sys.argv[3:])
