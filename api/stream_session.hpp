// api/stream_session.hpp -- one WebSocket on /v1/stream: writes what its subscription has, reads
// nothing but the end.
#pragma once

#include <utility>  // before asio, which in this version forgets it under C++20

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <functional>
#include <memory>

#include "api/gate.hpp"
#include "api/server.hpp"
#include "api/stream.hpp"

namespace tapedeck::api {

using StreamExecutor = boost::asio::strand<boost::asio::io_context::executor_type>;
using ClientStream = boost::beast::basic_stream<boost::asio::ip::tcp, StreamExecutor>;
using UpgradeRequest = boost::beast::http::request<boost::beast::http::string_body>;

/// What subscribing gives, with the wake that it is to call.
using Subscribe = std::function<Result<std::unique_ptr<Subscription>>(std::function<void()> wake)>;

/// Takes the connection over if subscribing succeeds; else gives the reason, and nothing has
/// changed. On the connection's strand.
[[nodiscard]] Result<void> start_stream_session(ClientStream& client, UpgradeRequest request,
                                                const Subscribe& subscribe,
                                                std::shared_ptr<Gate> gate,
                                                std::unique_ptr<ConnectionCount>& count,
                                                const ServerLimits& limits);

}  // namespace tapedeck::api
