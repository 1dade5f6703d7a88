# Snapshots, outputs, fold settings and time marks. A 128-bit number is two words, `high` with the sign. What there
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

  suspect @60 :Bool;
  suspectSince :group {
    partition @61 :UInt32;
    index @62 :UInt32;
    offset @63 :UInt64;
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

struct Candle {
  width @0 :Int64;
  openTime @1 :Int64;
  open @2 :Int64;
  high @3 :Int64;
  low @4 :Int64;
  close @5 :Int64;
  volumeHigh @6 :Int64;
  volumeLow @7 :UInt64;
  buyVolumeHigh @8 :Int64;
  buyVolumeLow @9 :UInt64;
  sellVolumeHigh @10 :Int64;
  sellVolumeLow @11 :UInt64;
  notionalHigh @12 :Int64;
  notionalLow @13 :UInt64;
  trades @14 :UInt64;
  revision @15 :UInt32;
  closed @16 :Bool;
  ohlcExact @17 :Bool;
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
}

struct Event {
  time @0 :Int64;
  feedTime @1 :Int64;
  receiveTime @2 :Int64;
  sequence @3 :UInt64;
  id @4 :UInt64;
  price @5 :Int64;
  size @6 :Int64;
  other @7 :UInt64;
  kind @8 :UInt8;
  side @9 :UInt8;
  flags @10 :UInt8;
  code @11 :UInt8;
}

struct Output {
  version @0 :UInt16;  # 1
  trust @1 :UInt8;
  rule @2 :UInt8;      # of a refusal
  messageIndex @3 :UInt32;  # of a late trade or refusal
  time @4 :Int64;
  source @5 :UInt64;
  partition @6 :UInt32;
  index @7 :UInt32;
  offset @8 :UInt64;
  lateWidth @9 :Int64;  # of a late trade
  union {
    none @10 :Void;
    candle @11 :Candle;
    metrics @12 :MetricsRow;
    lateTrade @13 :Event;
    refusal @14 :Event;
  }
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
}

struct ControlRecord {
  version @0 :UInt16;  # 1
  kind @1 :UInt8;      # 1 quarantine, 2 release
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
