// tapedeck cluster: the engines of a group, whose partitions are whose, how far their outputs are.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>

#include "api/json_writer.hpp"
#include "apps/commands.hpp"
#include "apps/delivery.hpp"
#include "apps/running.hpp"
#include "sinks/kafka_members.hpp"
#include "sinks/kafka_nodes.hpp"

namespace tapedeck::apps {

namespace {

struct ClusterArguments {
  TapeOptions tape;
  std::string group, format = "table";
};

struct Cluster {
  std::string group;
  sinks::GroupMembers members;
  std::map<std::string, sinks::Node> nodes;  ///< what engines say of themselves
  [[nodiscard]] std::string address_of(const std::string& node) const {
    const auto found = nodes.find(node);
    return found == nodes.end() ? std::string() : found->second.address;
  }
  struct Copy {
    std::string node;
    storage::Offset next = 0;  ///< folded so far, as it last said
  };
  struct Part {
    std::string node;  ///< empty: nobody's at this moment
    std::vector<Copy> standby;
    storage::Offset first = 0, committed = 0, end = 0;
    /// Retention has cut what no engine has said everything of. Behind the last record of an append
    /// stands the mark of its transaction.
    [[nodiscard]] bool lost() const { return first > committed + 1; }
    /// How far a copy is behind what is committed; some 2 s old.
    [[nodiscard]] storage::Offset behind(const Copy& copy) const {
      return committed > copy.next ? committed - copy.next : 0;
    }
    [[nodiscard]] storage::Offset lag() const { return end > committed ? end - committed : 0; }
  };
  std::vector<Part> partitions;
};

Result<Cluster> look(const ClusterArguments& arguments) {
  config::Overrides flags;
  if (!arguments.group.empty()) flags.emplace_back("kafka.group", arguments.group);
  const auto config = load_config(arguments.tape.config_file, flags);
  if (!config) return tl::unexpected(config.error());
  const auto kafka = kafka_options(arguments.tape);
  if (!kafka) return tl::unexpected(kafka.error());
  Cluster cluster;
  cluster.group = group_name(*config, **kafka);
  auto members = sinks::describe_group(**kafka, cluster.group);
  if (!members) return tl::unexpected(members.error());
  cluster.members = std::move(*members);
  if (!config->kafka.members.empty()) {
    auto nodes = sinks::read_nodes(**kafka, cluster.group, config->kafka.members);
    if (!nodes) return tl::unexpected(nodes.error());
    cluster.nodes = std::move(*nodes);
  }
  const auto tape = open_reader(arguments.tape);
  if (!tape) return tl::unexpected(tape.error());
  const auto group = sinks::KafkaGroup::open({**kafka, cluster.group, "cluster"});
  if (!group) return tl::unexpected(group.error());
  cluster.partitions.resize((*tape)->partitions());
  std::vector<storage::Partition> numbers(cluster.partitions.size());
  std::iota(numbers.begin(), numbers.end(), 0u);
  const auto committed = (*group)->committed(numbers);
  if (!committed) return tl::unexpected(committed.error());
  const auto firsts = (*group)->firsts(numbers);
  if (!firsts) return tl::unexpected(firsts.error());
  for (const auto p : numbers) {
    const auto end = (*tape)->end(p);
    if (!end) return tl::unexpected(end.error());
    cluster.partitions[p].first = (*firsts)[p];
    cluster.partitions[p].committed = (*committed)[p];
    cluster.partitions[p].end = *end;
  }
  for (const auto& member : cluster.members.members) {
    for (const auto p : member.partitions)
      if (p < cluster.partitions.size()) cluster.partitions[p].node = member.node;
    const auto known = cluster.nodes.find(member.node);
    if (known == cluster.nodes.end()) continue;
    for (const auto& [p, next] : known->second.standby)
      if (p < cluster.partitions.size())
        cluster.partitions[p].standby.push_back({member.node, next});
  }
  return cluster;
}

void print_json(const Cluster& cluster) {
  api::JsonWriter out;
  out.open('{');
  out.key("group").string(cluster.group);
  out.key("state").string(cluster.members.state);
  out.key("nodes").open('[');
  for (const auto& member : cluster.members.members) {
    out.open('{');
    out.key("node").string(member.node);
    out.key("host").string(member.host);
    out.key("address").string(cluster.address_of(member.node));
    out.key("partitions").open('[');
    for (const auto p : member.partitions) out.integer(p);
    out.close(']').close('}');
  }
  out.close(']');
  out.key("partitions").open('[');
  for (std::size_t p = 0; p < cluster.partitions.size(); ++p) {
    const auto& part = cluster.partitions[p];
    out.open('{');
    out.key("partition").integer(p);
    out.key("node");
    part.node.empty() ? out.null() : out.string(part.node);
    out.key("first").integer(part.first);
    out.key("committed").integer(part.committed);
    out.key("end").integer(part.end);
    out.key("lag").integer(part.lag());
    out.key("lost").boolean(part.lost());
    out.key("standby").open('[');
    for (const auto& copy : part.standby) {
      out.open('{');
      out.key("node").string(copy.node);
      out.key("next").integer(copy.next);
      out.key("lag").integer(part.behind(copy));
      out.close('}');
    }
    out.close(']').close('}');
  }
  out.close(']').close('}');
  fmt::print("{}\n", out.take());
}

void print_table(const Cluster& cluster) {
  std::size_t width = 4;
  for (const auto& member : cluster.members.members) width = std::max(width, member.node.size());
  fmt::print("group {}: {}, {} engines\n\n", cluster.group, cluster.members.state,
             cluster.members.members.size());
  fmt::print("{:<{}}  {:<15}  {:<21}  {}\n", "node", width, "host", "address", "partitions");
  for (const auto& member : cluster.members.members) {
    fmt::print("{:<{}}  {:<15}  {:<21}  {}\n", member.node, width, member.host,
               cluster.address_of(member.node), fmt::join(member.partitions, " "));
  }
  fmt::print("\n{:>9}  {:<{}}  {:>12}  {:>12}  {:>12}  {}\n", "partition", "node", width,
             "committed", "end", "lag", "standby (lag)");
  for (std::size_t p = 0; p < cluster.partitions.size(); ++p) {
    const auto& part = cluster.partitions[p];
    std::string copies;
    for (const auto& copy : part.standby)
      copies += fmt::format("{}{} ({})", copies.empty() ? "" : ", ", copy.node, part.behind(copy));
    fmt::print("{:>9}  {:<{}}  {:>12}  {:>12}  {:>12}  {}\n", p,
               part.node.empty() ? "-" : part.node, width, part.committed, part.end, part.lag(),
               copies.empty() ? "-" : copies);
  }
  for (std::size_t p = 0; p < cluster.partitions.size(); ++p) {
    const auto& part = cluster.partitions[p];
    if (!part.lost()) continue;
    fmt::print(
        "\npartition {} is stopped: retention has cut its records from offset {} to {}, which were "
        "not folded; restore the tape from an archive into a new topic (`tapedeck tape copy`)\n",
        p, part.committed, part.first);
  }
}

int run_cluster(const ClusterArguments& arguments) {
  const auto cluster = look(arguments);
  if (!cluster) return report(cluster.error());
  arguments.format == "json" ? print_json(*cluster) : print_table(*cluster);
  return kDone;
}

}  // namespace

void add_cluster(CLI::App& app, Chosen& chosen) {
  auto arguments = std::make_shared<ClusterArguments>();
  CLI::App* command = app.add_subcommand(
      "cluster", "Engines that share a tape on Kafka: their partitions, how far outputs are");
  command->footer(
      "lag counts offsets between the group's commit and the tape's end; a standby's, between its "
      "copy and the commit.\n"
      "Example:\n  tapedeck cluster --brokers 127.0.0.1:9092 --topic market");
  add_kafka_options(command, arguments->tape);
  command
      ->add_option("--group", arguments->group, "Another group than tapedeck.TOPIC (kafka.group)")
      ->type_name("NAME");
  command->add_option("--format", arguments->format, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  run_with(command, chosen, [arguments] { return run_cluster(*arguments); });
}

}  // namespace tapedeck::apps
