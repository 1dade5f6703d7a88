@0x9129bb554865e072;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("tapedeck::schemas::wire");

struct Mark {
  version @0 :UInt16;
}
