#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace narrowlink::access {

struct JsonLimits {
    std::size_t size;  ///< of the text
    std::size_t depth; ///< of nested objects and arrays
};

/// Parses one JSON text (RFC 8259) and refuses what two readers could understand differently: an
/// object with two members of one name, and bytes that are not UTF-8. Boost.JSON itself keeps the
/// last of two members.
std::optional<boost::json::value> parse_strict_json(std::string_view text, JsonLimits);

/// The member of that name and type, or nothing.
std::optional<std::string> string_member(const boost::json::object&, std::string_view name);
std::optional<std::uint64_t> unsigned_member(const boost::json::object&, std::string_view name);

/// Seconds of a NumericDate (RFC 7519 §2) from 1970 to the end of the year 9999.
std::optional<std::int64_t> date_member(const boost::json::object&, std::string_view name);

std::optional<std::uint64_t> to_unsigned(const boost::json::value&);

} // namespace narrowlink::access
