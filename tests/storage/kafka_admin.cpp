#include "tests/storage/kafka_admin.hpp"

#include <functional>
#include <memory>
#include <stdexcept>

#include "storage/kafka_client.hpp"

namespace tapedeck::storage::test {
namespace {

void check(rd_kafka_resp_err_t code, const std::string& doing) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    throw std::runtime_error(doing + ": " + rd_kafka_err2str(code));
}

std::unique_ptr<KafkaClient> client(const std::string& brokers,
                                    KafkaClient::Delivered delivered = nullptr) {
  KafkaOptions options;
  options.brokers = brokers;
  auto made = KafkaClient::make(RD_KAFKA_PRODUCER, options, {}, delivered);
  if (!made) throw std::runtime_error(made.error().message);
  return std::move(*made);
}

/// Sends one admin request and requires that each of its results is good.
template <class Results>
void ask(const std::string& brokers, const std::string& doing,
         const std::function<void(rd_kafka_t*, rd_kafka_queue_t*)>& send, Results results) {
  const auto admin = client(brokers);
  const QueueHandle queue(rd_kafka_queue_new(admin->get()));
  send(admin->get(), queue.get());
  const EventHandle event(rd_kafka_queue_poll(queue.get(), 15'000));
  if (!event) throw std::runtime_error(doing + ": no answer");
  check(rd_kafka_event_error(event.get()), doing);
  std::size_t count = 0;
  const auto** each = results(event.get(), &count);
  for (std::size_t i = 0; i < count; ++i) check(rd_kafka_topic_result_error(each[i]), doing);
}

}  // namespace

void KafkaAdmin::make_topic(const std::string& topic, int partitions,
                            const std::map<std::string, std::string>& settings) {
  auto* wanted = rd_kafka_NewTopic_new(topic.c_str(), partitions, -1, nullptr, 0);
  for (const auto& [name, value] : settings)
    check(rd_kafka_NewTopic_set_config(wanted, name.c_str(), value.c_str()), name);
  ask(
      brokers_, "making " + topic,
      [&](rd_kafka_t* rk, rd_kafka_queue_t* queue) {
        rd_kafka_CreateTopics(rk, &wanted, 1, nullptr, queue);
      },
      [](rd_kafka_event_t* event, std::size_t* count) {
        return rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event),
                                                   count);
      });
  rd_kafka_NewTopic_destroy(wanted);
}

void KafkaAdmin::delete_topic(const std::string& topic) {
  auto* wanted = rd_kafka_DeleteTopic_new(topic.c_str());
  ask(
      brokers_, "deleting " + topic,
      [&](rd_kafka_t* rk, rd_kafka_queue_t* queue) {
        rd_kafka_DeleteTopics(rk, &wanted, 1, nullptr, queue);
      },
      [](rd_kafka_event_t* event, std::size_t* count) {
        return rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event),
                                                   count);
      });
  rd_kafka_DeleteTopic_destroy(wanted);
}

void KafkaAdmin::add_partitions(const std::string& topic, int count) {
  auto* wanted =
      rd_kafka_NewPartitions_new(topic.c_str(), static_cast<std::size_t>(count), nullptr, 0);
  ask(
      brokers_, "adding partitions to " + topic,
      [&](rd_kafka_t* rk, rd_kafka_queue_t* queue) {
        rd_kafka_CreatePartitions(rk, &wanted, 1, nullptr, queue);
      },
      [](rd_kafka_event_t* event, std::size_t* results) {
        return rd_kafka_CreatePartitions_result_topics(
            rd_kafka_event_CreatePartitions_result(event), results);
      });
  rd_kafka_NewPartitions_destroy(wanted);
}

void KafkaAdmin::delete_records(const std::string& topic, int partition, std::int64_t offset) {
  const OffsetsHandle list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
  auto* wanted = rd_kafka_DeleteRecords_new(list.get());
  const auto admin = client(brokers_);
  const QueueHandle queue(rd_kafka_queue_new(admin->get()));
  rd_kafka_DeleteRecords(admin->get(), &wanted, 1, nullptr, queue.get());
  const EventHandle event(rd_kafka_queue_poll(queue.get(), 15'000));
  rd_kafka_DeleteRecords_destroy(wanted);
  if (!event) throw std::runtime_error("deleting records: no answer");
  check(rd_kafka_event_error(event.get()), "deleting records");
  const auto* done =
      rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event.get()));
  check(done->elems[0].err, "deleting records");
}

std::int64_t KafkaAdmin::produce(const std::string& topic, int partition, const std::string& key,
                                 const std::string& value) {
  std::int64_t offset = -1;
  const auto producer = client(brokers_, [](rd_kafka_t*, const rd_kafka_message_t* message, void*) {
    check(message->err, "producing");
    *static_cast<std::int64_t*>(message->_private) = message->offset;
  });
  check(rd_kafka_producev(producer->get(), RD_KAFKA_V_TOPIC(topic.c_str()),
                          RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_KEY(key.data(), key.size()),
                          RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                          RD_KAFKA_V_OPAQUE(&offset), RD_KAFKA_V_END),
        "producing");
  check(rd_kafka_flush(producer->get(), 15'000), "producing");
  return offset;
}

}  // namespace tapedeck::storage::test
