// api/openapi.hpp -- the interface described in OpenAPI 3.1; a test holds it against the routes.
#pragma once

#include <string_view>

namespace tapedeck::api {

[[nodiscard]] std::string_view openapi_json() noexcept;

}  // namespace tapedeck::api
