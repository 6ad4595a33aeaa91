#pragma once

#include "narrowlink/config/problem.hpp"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace narrowlink::config {

/// What a YAML file says, as a plain tree with positions.
struct Value {
    enum class Kind { nothing, scalar, list, table };

    Kind kind = Kind::nothing;
    std::uint32_t line = 1, column = 1;
    std::string tag;          ///< e.g. `!SelfHosted`; empty when none was written
    std::string text;         ///< of a scalar
    std::vector<Value> keys;  ///< of a table: scalars, each different
    std::vector<Value> items; ///< of a list; of a table, in the order of its keys
};

/// Collects what is wrong with one file, and the keys that it may have.
class Problems {
public:
    explicit Problems(std::string file) : file_{std::move(file)} {}

    [[nodiscard]] const std::string& file() const { return file_; }

    void add(const Value& at, std::string key, std::string text);

    void note_key(std::string key) { known_keys_.insert(std::move(key)); }

    [[nodiscard]] bool empty() const { return problems_.empty(); }

    /// In the order of the file.
    [[nodiscard]] std::vector<Problem> sorted() const;

    [[nodiscard]] const std::set<std::string>& known_keys() const { return known_keys_; }

private:
    std::string file_;
    std::vector<Problem> problems_;
    std::set<std::string> known_keys_;
};

inline constexpr std::size_t largest_config = 1'048'576;

/// Reads one YAML document; an empty file is an empty table.
///
/// Refused, each with its place: more than 1 MiB, more than one document, a key that is given
/// twice, anchors and aliases (with which a short file says a lot), more than 16 levels or 1,000
/// keys of one table.
Value parse_document(std::string_view text, Problems& problems);

} // namespace narrowlink::config
