#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <set>

#include "config/config.hpp"
#include "config/settings.hpp"

using namespace tapedeck::config;

namespace {
const std::string kExample = std::string(TAPEDECK_SOURCE_DIR) + "/config/tapedeck.toml";
}

TEST_CASE("config/tapedeck.toml sets every setting, each to its default", "[config]") {
  const auto config = load(kExample, {});
  if (!config) FAIL(config.error().message);
  const Config defaults;
  for (const Setting& setting : settings()) {
    INFO(setting.key);
    CHECK(config->origins.count(setting.key) == 1);
    CHECK(setting.get(*config) == setting.get(defaults));
  }
}

TEST_CASE("config/tapedeck.toml is what the table of settings says", "[config]") {
  std::ifstream file(kExample);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text != example()) {
    std::ofstream("tapedeck.toml.expected") << example();
    FAIL("it is out of date: copy tapedeck.toml.expected from the test's working folder over "
         << kExample);
  }
}

TEST_CASE("every setting has a key, a variable and a range of its own", "[config]") {
  std::set<std::string> keys, variables;
  const Config defaults;
  for (const Setting& setting : settings()) {
    INFO(setting.key);
    CHECK(keys.insert(std::string(setting.key)).second);
    CHECK(variables.insert(setting.variable()).second);
    CHECK(in_range(setting, setting.get(defaults)));
    CHECK_FALSE(setting.description.empty());
    CHECK(find_setting(setting.key) == &setting);
  }
}
