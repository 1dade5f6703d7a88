// kafka_produce BROKERS TOPIC PARTITION KEY VALUE: a record of somebody else, for tests.
#include <cstdlib>

#include "tests/storage/kafka_admin.hpp"

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  tapedeck::storage::test::KafkaAdmin admin(argv[1]);
  return admin.produce(argv[2], std::atoi(argv[3]), argv[4], argv[5]) < 0 ? 1 : 0;
}
