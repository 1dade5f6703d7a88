# A record's payload: whole messages of one symbol from one source. The columns' coding is described byte by byte in
# docs/formats/event.md.
@0x9067ed4a390f01b6;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("tapedeck::schemas::wire");

struct Batch {
  version @0 :UInt16;        # 1
  signed @1 :UInt16;         # bit c: the codes of column c are zigzag
  count @2 :UInt32;          # events
  source @3 :UInt64;         # XXH3-64 of the source's name
  widths @4 :UInt64;         # bits 4c to 4c+3: bytes an entry of column c
  priceUnit @5 :UInt32;      # what the codes of the prices column count
  full @6 :Bool;             # every column has an entry for every event
  received @7 :Bool;         # receive times are known; else all are 0

  # What the first difference of a column is taken from.
  baseTime @8 :Int64;
  baseSequence @9 :UInt64;
  baseReceive @10 :Int64;
  baseOrder @11 :UInt64;
  baseMatch @12 :UInt64;
  basePrice @13 :Int64;

  sourceName @14 :Text;      # only where the batch holds the session event
  kinds @15 :Data;           # a byte an event: kind (5 bits), side (2), another event of the message follows (1)
  columns @16 :Data;         # the columns, one after the other, then 8 bytes of zero
  patches @17 :List(Patch);  # codes too wide for their column; ascending by event, then column
}

struct Patch {
  event @0 :UInt32;
  column @1 :UInt8;
  code @2 :UInt64;
}
