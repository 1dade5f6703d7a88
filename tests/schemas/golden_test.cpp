// tests/schemas/golden_test.cpp -- what earlier versions wrote is still read. `tests_schemas
// "[write-golden]"` writes the files of a new version; files that are there are never written
// again.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "schemas/batch_codec.hpp"
#include "tests/schemas/golden_values.hpp"

using namespace tapedeck;
using namespace tapedeck::schemas;

namespace {

const std::filesystem::path kFolder = TAPEDECK_SOURCE_DIR "/tests/schemas/golden";

std::string file(const std::string& name) {
  std::ifstream in(kFolder / name, std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const std::string& name, const std::string& bytes) {
  if (std::filesystem::exists(kFolder / name)) return;
  std::ofstream(kFolder / name, std::ios::binary) << bytes;
}

std::span<const std::byte> view(const std::string& bytes) {
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

void check_batch(const std::string& name, std::string_view source_name,
                 const std::vector<market::Event>& expected) {
  const std::string bytes = file(name);
  BatchReader reader;
  REQUIRE(reader.open(view(bytes)));
  CHECK(reader.source() == 0xfedcba9876543210);
  CHECK(reader.source_name() == source_name);
  std::vector<market::Event> events(reader.size());
  CHECK(reader.next(events) == expected.size());
  CHECK(events == expected);
}

std::string encoded(std::string_view source_name, const std::vector<market::Event>& events) {
  BatchEncoder encoder;
  const auto payload = encoder.encode(0xfedcba9876543210, source_name, events);
  REQUIRE(payload);
  return {reinterpret_cast<const char*>(payload->data()), payload->size()};
}

}  // namespace

TEST_CASE("batches of version 1 are read", "[golden]") {
  check_batch("batch.v1", "itch 2012-06-21 0123", golden::batch_v1());
  check_batch("batch_full.v1", "", golden::full_v1());
}

TEST_CASE("states of version 1 are read", "[golden]") {
  CHECK(*decode_snapshot(view(file("snapshot.v1"))) == golden::snapshot_v1());
  CHECK(*decode_settings(view(file("settings.v1"))) == golden::settings_v1());
  CHECK(*decode_snapshot(view(file("snapshot_alerts.v1"))) == golden::snapshot_alerts_v1());
  CHECK(*decode_settings(view(file("settings_alerts.v1"))) == golden::settings_alerts_v1());
  CHECK(*decode_mark(view(file("mark.v1"))) == golden::mark_v1());
  const auto alerts = decode_block(view(file("block_alert.v1")));
  REQUIRE(alerts);
  REQUIRE(alerts->size() == 1);
  CHECK(alerts->front().same_content(golden::alert_v1()));
  const auto outputs = golden::outputs_v1();
  const auto block = decode_block(view(file("block.v1")));  // two, joined
  REQUIRE(block);
  REQUIRE(block->size() == 2 * outputs.size());
  for (std::size_t i = 0; i < block->size(); ++i) {
    CHECK((*block)[i].same_content(outputs[i % outputs.size()]));
    CHECK((*block)[i].position == outputs[i % outputs.size()].position);
  }
}

TEST_CASE("what came after the first files of a version is read", "[golden]") {
  CHECK(*decode_snapshot(view(file("snapshot_further.v1"))) == golden::snapshot_further_v1());
  CHECK(*decode_settings(view(file("settings_further.v1"))) == golden::settings_further_v1());
  CHECK(*decode_control(view(file("control_settings.v1"))) == golden::control_settings_v1());
  const auto outputs = golden::outputs_v2();
  const auto block = decode_block(view(file("block_further.v2")));
  REQUIRE(block);
  REQUIRE(block->size() == outputs.size());
  for (std::size_t i = 0; i < block->size(); ++i) CHECK((*block)[i].same_content(outputs[i]));
}

TEST_CASE("writes golden files that are missing", "[.][write-golden]") {
  std::filesystem::create_directories(kFolder);
  write("batch.v1", encoded("itch 2012-06-21 0123", golden::batch_v1()));
  write("batch_full.v1", encoded("", golden::full_v1()));
  write("snapshot.v1", encode(golden::snapshot_v1()));
  write("settings.v1", encode(golden::settings_v1()));
  write("snapshot_alerts.v1", encode(golden::snapshot_alerts_v1()));
  write("settings_alerts.v1", encode(golden::settings_alerts_v1()));
  const auto alert = golden::alert_v1();
  const market::Output* const alerts[] = {&alert};
  write("block_alert.v1", encode_block(alerts));
  write("mark.v1", encode(golden::mark_v1()));
  write("snapshot_further.v1", encode(golden::snapshot_further_v1()));
  write("settings_further.v1", encode(golden::settings_further_v1()));
  write("control_settings.v1", encode(golden::control_settings_v1()));
  const auto further = golden::outputs_v2();
  std::vector<const market::Output*> some;
  for (const auto& output : further) some.push_back(&output);
  write("block_further.v2", encode_block(some));
  const auto outputs = golden::outputs_v1();
  std::vector<const market::Output*> all;
  for (const auto& output : outputs) all.push_back(&output);
  write("block.v1", encode_block(all) + encode_block(all));
}
