# Snapshots, fold settings and time marks. A 128-bit number is two words, `high` with the sign. What there
# may be thousands of in a snapshot stands in `Data` as variable-length numbers: docs/formats/snapshot.md.
@0x9129bb554865e072;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("tapedeck::schemas::wire");

struct Snapshot {
  version @0 :UInt16;       # 1
  sequencing @1 :UInt8;
  trust @2 :UInt8;
  crossing @3 :UInt8;
  depthSeen @4 :Bool;
  inSnapshot @5 :Bool;
  windowOpen @6 :Bool;
  marked @7 :Bool;

  symbol @8 :Text;
  source @9 :UInt64;
  sourceName @10 :Text;
  earlierSources @11 :List(UInt64);

  position :group {
    partition @12 :UInt32;
    index @13 :UInt32;
    offset @14 :UInt64;
  }
  trustSince :group {
    partition @15 :UInt32;
    index @16 :UInt32;
    offset @17 :UInt64;
  }
  eventTime @18 :Int64;
  maxEventTime @19 :Int64;
  feedTime @20 :Int64;

  counts :group {
    read @21 :UInt64;
    folded @22 :UInt64;
    duplicates @23 :UInt64;
    refused @24 :UInt64;
    filtered @25 :UInt64;
  }
  integrity :group {
    gaps @26 :UInt64;
    crossed @27 :UInt64;
    locked @28 :UInt64;
    unknownOrders @29 :UInt64;
    oversizedReductions @30 :UInt64;
    lateTrades @31 :UInt64;
    lateBreaks @32 :UInt64;
  }
  instrument :group {
    priceExponent @33 :Int32;
    sizeExponent @34 :Int32;
    roundLot @35 :UInt64;
  }
  bid :group {
    price @36 :Int64;
    size @37 :Int64;
  }
  ask :group {
    price @38 :Int64;
    size @39 :Int64;
  }
  chain :group {
    high @40 :UInt64;
    low @41 :UInt64;
  }
  digest :group {
    high @42 :UInt64;
    low @43 :UInt64;
  }
  trades @44 :UInt64;
  sessionTrades @45 :UInt64;
  lastTrade @46 :Int64;

  statuses @47 :List(Status);  # those that are not as at first, ascending by kind
  streams @48 :List(Stream);   # by number
  window @49 :MetricsRow;

  orderCount @50 :UInt32;
  orders @51 :Data;
  levelCount @52 :UInt32;
  levels @53 :Data;
  keptUpdateCount @54 :UInt32;
  keptUpdates @55 :Data;
  candleCount @56 :UInt32;
  candles @57 :Data;
  keptTradeCount @58 :UInt32;
  keptTrades @59 :Data;
  alerts @60 :Alerts;  # absent where the settings give none

  suspect @61 :Bool;
  suspectSince :group {
    partition @62 :UInt32;
    index @63 :UInt32;
    offset @64 :UInt64;
  }
  widthStarts @65 :List(WidthStart);
  beyondBand @66 :Bool;
  priceBeyond @67 :Int64;
  beyondSequence @68 :UInt64;
}

struct WidthStart {
  width @0 :Int64;
  after @1 :Int64;
}

struct Alerts {
  silentSince @0 :Int64;
  imbalanceLevel @1 :Int8;
  flipSide @2 :Int8;
  spreadIsWide @3 :Bool;
  spreadSumHigh @4 :Int64;
  spreadSumLow @5 :UInt64;
  spreadCount @6 :UInt64;
  told @7 :List(Told);  # ascending by rule, then level
  patterns @8 :List(Pattern);

  struct Told {
    rule @0 :UInt8;
    level @1 :UInt8;
    time @2 :Int64;
  }
  struct Pattern {
    told @0 :Int64;
    starts @1 :List(Int64);
  }
}

struct Status {
  kind @0 :UInt8;
  told @1 :Bool;
  time @2 :Int64;
  price @3 :Int64;
  size @4 :Int64;
  other @5 :UInt64;
}

struct Stream {
  last @0 :UInt64;
  pendingJump @1 :UInt64;
}

struct MetricsRow {
  width @0 :Int64;
  openTime @1 :Int64;
  samples @2 :UInt64;
  spreadSamples @3 :UInt64;
  imbalancePpm :group {
    min @4 :Int64;
    max @5 :Int64;
    last @6 :Int64;
    sumHigh @7 :Int64;
    sumLow @8 :UInt64;
  }
  spread :group {
    min @9 :Int64;
    max @10 :Int64;
    last @11 :Int64;
    sumHigh @12 :Int64;
    sumLow @13 :UInt64;
  }
  orderFlowImbalanceHigh @14 :Int64;
  orderFlowImbalanceLow @15 :UInt64;
  further @16 :List(MetricSummary);
}

struct MetricSummary {
  series @0 :UInt8;
  count @1 :UInt64;
  min @2 :Int64;
  max @3 :Int64;
  last @4 :Int64;
  sumHigh @5 :Int64;
  sumLow @6 :UInt64;
}

struct FoldSettings {
  version @0 :UInt16;  # 1
  allowNegativePrices @1 :Bool;
  candleWidths @2 :List(Int64);
  lateness @3 :Int64;
  idleAfter @4 :Int64;
  correctionHorizon @5 :Int64;
  keptTrades @6 :UInt32;
  metricsLevels @7 :UInt32;
  metricsWindow @8 :Int64;
  maxSequenceJump @9 :UInt64;
  maxKeptUpdates @10 :UInt32;
  alerts @11 :AlertSettings;  # absent: none are given
  symbolAlerts @12 :List(SymbolAlerts);
  patterns @13 :List(AlertPattern);
  candleOrigin @14 :Int64;
  furtherMetrics @15 :UInt32;
  refusals @16 :RefusalSettings;  # absent: nothing is refused by them
}

struct RefusalSettings {
  timeLead @0 :Int64;
  priceBand @1 :Int64;
  symbols @2 :Text;
  zeroSize @3 :Bool;
  crossedQuotes @4 :Bool;
}

# Ratios in millionths; 0: never.
struct AlertSettings {
  imbalanceHigh @0 :Int64;
  imbalanceMedium @1 :Int64;
  imbalanceHysteresis @2 :Int64;
  flip @3 :Int64;
  spreadFactor @4 :Int64;
  outlier @5 :Int64;
  spreadSamples @6 :UInt32;
  outlierTrades @7 :UInt32;
  crossed @8 :Bool;
  gap @9 :Bool;
  silence @10 :List(Int64);
  cooldown @11 :List(Int64);  # by number of the rule
}

struct SymbolAlerts {
  symbol @0 :Text;
  settings @1 :AlertSettings;
}

struct AlertPattern {
  name @0 :Text;
  steps @1 :List(UInt8);  # numbers of rules
  within @2 :Int64;
  cooldown @3 :Int64;
}

struct ControlRecord {
  version @0 :UInt16;  # 1
  kind @1 :UInt8;      # 1 quarantine, 2 release, 3 settings
  symbol @2 :Text;
  partition @3 :UInt32;
  index @4 :UInt32;
  offset @5 :UInt64;
  due @6 :Bool;        # the rest is of a due item
  dueKind @7 :UInt8;
  dueSource @8 :UInt64;
  dueWidth @9 :Int64;
  dueTime @10 :Int64;
  at @11 :UInt64;
  errors @12 :List(Text);
  settings @13 :Data;  # a message of FoldSettings
  feedTimes @14 :List(FeedTime);
}

struct FeedTime {
  source @0 :UInt64;
  feedTime @1 :Int64;
}

struct Mark {
  version @0 :UInt16;  # 1
  complete @1 :Bool;
  source @2 :UInt64;
  sourceName @3 :Text;
  feedTime @4 :Int64;
  cursorMessages @5 :UInt64;
  cursorBytes @6 :UInt64;
}
