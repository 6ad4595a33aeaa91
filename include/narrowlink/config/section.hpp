#pragma once

#include "narrowlink/base/address.hpp"
#include "narrowlink/base/time.hpp"
#include "narrowlink/config/document.hpp"

#include <concepts>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace narrowlink::config {

/// One table of the file. Each read notes its key; finish() reports the keys nobody read.
/// Problems are collected, so one run of the program shows all of them; a value with a problem
/// reads as its fallback.
///
/// Requires: the Value and the Problems outlive it.
class Section {
public:
    Section(const Value& value, std::string path, Problems& problems);

    [[nodiscard]] bool has(std::string_view key) const;

    /// The tag it was written with, e.g. `!SelfHosted`, or empty.
    [[nodiscard]] const std::string& tag() const { return table_->tag; }

    [[nodiscard]] const std::string& path() const { return path_; }

    std::string required_string(std::string_view key);
    std::optional<std::string> optional_string(std::string_view key);
    bool boolean(std::string_view key, bool fallback);
    Duration duration(std::string_view key, Duration fallback, Duration least, Duration most);
    std::size_t size(std::string_view key, std::size_t fallback, std::size_t least,
                     std::size_t most);
    std::optional<HostPort> host_port(std::string_view key);
    std::optional<SocketAddress> socket_address(std::string_view key);

    /// A relative path starts at the folder of the file it is written in.
    std::optional<std::filesystem::path> file_path(std::string_view key);

    template <std::integral T>
    T integer(std::string_view key, T fallback, T least, T most)
    {
        return static_cast<T>(whole_number(key, static_cast<std::int64_t>(fallback),
                                           static_cast<std::int64_t>(least),
                                           static_cast<std::int64_t>(most)));
    }

    /// One of a few words.
    template <class Enum>
    Enum choice(std::string_view key, Enum fallback,
                std::initializer_list<std::pair<std::string_view, Enum>> choices)
    {
        std::vector<std::string_view> words;
        for (const auto& [word, value] : choices)
            words.push_back(word);
        const auto index = index_of_choice(key, words);
        return index ? (choices.begin() + *index)->second : fallback;
    }

    std::vector<std::string> strings(std::string_view key);
    std::vector<IpPrefix> prefixes(std::string_view key);

    /// A table below this one; without it an empty one, so that every default applies.
    Section section(std::string_view key);

    /// The same for one whose tag says what it is; empty when it is not there.
    std::optional<Section> tagged_section(std::string_view key);

    /// A list of tables; with `tagged`, each has a tag that says what it is.
    std::vector<Section> sections(std::string_view key);
    std::vector<Section> tagged_sections(std::string_view key);

    /// Reports a problem of the value of `key`, or of the whole section when it has none.
    void report(std::string_view key, std::string text) const;

    /// Reports that the tag of this section is none of `tags`, or is missing.
    void report_tag(std::initializer_list<std::string_view> tags) const;

    /// `file:line:column: key`, see Located.
    [[nodiscard]] std::string where(std::string_view key) const;

    /// Reports the keys that nobody asked for. To be called once all have been read.
    void finish() const;

private:
    const Value* find(std::string_view key);
    const Value* find_untagged(std::string_view key);
    const Value* find_scalar(std::string_view key, std::string_view expected);
    const Value* find_list(std::string_view key);
    [[nodiscard]] const Value* value_of(std::string_view key) const;
    [[nodiscard]] std::string full(std::string_view key) const;
    [[nodiscard]] std::string suggestion_for(std::string_view key) const;
    std::vector<Section> sections_of(std::string_view key, bool tagged);
    void refuse_tag(const Value& value, const std::string& key) const;

    std::int64_t whole_number(std::string_view key, std::int64_t fallback, std::int64_t least,
                              std::int64_t most);
    std::optional<std::size_t> index_of_choice(std::string_view key,
                                               const std::vector<std::string_view>& words);

    const Value* table_;
    std::string path_;
    Problems* problems_;
    std::set<std::string, std::less<>> read_;
};

} // namespace narrowlink::config
