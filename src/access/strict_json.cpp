#include "strict_json.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <boost/system/errc.hpp>

#include <algorithm>
#include <vector>

namespace narrowlink::access {
namespace {

using boost::system::error_code;

// Receives what the parser of Boost.JSON meets and looks at names only. The signatures are those
// that boost::json::basic_parser calls.
struct NameCheck {
    static constexpr std::size_t max_object_size = 64; // names are compared with all before them
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

    using Text = boost::json::string_view;

    std::vector<std::vector<std::string>> objects; // the names of each open object
    std::string name;                              // what came of a name in parts

    bool on_object_begin(error_code&)
    {
        objects.emplace_back();
        return true;
    }

    bool on_object_end(std::size_t, error_code&)
    {
        objects.pop_back();
        return true;
    }

    bool on_key_part(Text part, std::size_t, error_code&)
    {
        name.append(part.data(), part.size());
        return true;
    }

    bool on_key(Text part, std::size_t, error_code& ec)
    {
        name.append(part.data(), part.size());
        auto& names = objects.back();
        if (std::ranges::find(names, name) != names.end()) {
            ec = make_error_code(boost::system::errc::bad_message);
            return false;
        }
        names.push_back(std::move(name));
        name.clear();
        return true;
    }

    static bool on_document_begin(error_code&) { return true; }

    static bool on_document_end(error_code&) { return true; }

    static bool on_array_begin(error_code&) { return true; }

    static bool on_array_end(std::size_t, error_code&) { return true; }

    static bool on_string_part(Text, std::size_t, error_code&) { return true; }

    static bool on_string(Text, std::size_t, error_code&) { return true; }

    static bool on_number_part(Text, error_code&) { return true; }

    static bool on_int64(std::int64_t, Text, error_code&) { return true; }

    static bool on_uint64(std::uint64_t, Text, error_code&) { return true; }

    static bool on_double(double, Text, error_code&) { return true; }

    static bool on_bool(bool, error_code&) { return true; }

    static bool on_null(error_code&) { return true; }

    static bool on_comment_part(Text, error_code&) { return true; }

    static bool on_comment(Text, error_code&) { return true; }
};

} // namespace

std::optional<boost::json::value> parse_strict_json(std::string_view text, JsonLimits limits)
{
    if (text.size() > limits.size)
        return std::nullopt;
    boost::json::parse_options options;
    options.max_depth = limits.depth;

    error_code ec;
    boost::json::basic_parser<NameCheck> names{options};
    names.write_some(false, text.data(), text.size(), ec);
    if (ec)
        return std::nullopt;
    boost::json::value value =
        boost::json::parse(boost::json::string_view{text.data(), text.size()}, ec, {}, options);
    if (ec)
        return std::nullopt;
    return value;
}

std::optional<std::string> string_member(const boost::json::object& object, std::string_view name)
{
    const boost::json::value* const value = object.if_contains({name.data(), name.size()});
    if (value == nullptr || !value->is_string())
        return std::nullopt;
    const boost::json::string& text = value->get_string();
    return std::string{text.data(), text.size()};
}

std::optional<std::uint64_t> to_unsigned(const boost::json::value& value)
{
    if (value.is_uint64())
        return value.get_uint64();
    if (value.is_int64() && value.get_int64() >= 0)
        return static_cast<std::uint64_t>(value.get_int64());
    return std::nullopt;
}

std::optional<std::uint64_t> unsigned_member(const boost::json::object& object,
                                             std::string_view name)
{
    const boost::json::value* const value = object.if_contains({name.data(), name.size()});
    return value != nullptr ? to_unsigned(*value) : std::nullopt;
}

std::optional<std::int64_t> date_member(const boost::json::object& object, std::string_view name)
{
    constexpr std::uint64_t last = 253'402'300'799; // 9999-12-31 23:59:59
    const auto seconds = unsigned_member(object, name);
    if (!seconds || *seconds > last)
        return std::nullopt;
    return static_cast<std::int64_t>(*seconds);
}

} // namespace narrowlink::access
