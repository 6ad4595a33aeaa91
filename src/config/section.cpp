#include "narrowlink/config/section.hpp"

#include "narrowlink/config/parse.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace narrowlink::config {
namespace {

/// The characters to add, leave out or change to get from one word to the other (Levenshtein).
std::size_t distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> last(b.size() + 1), row(b.size() + 1);
    std::iota(last.begin(), last.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j)
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
        std::swap(last, row);
    }
    return last[b.size()];
}

std::string without_indices(std::string_view path)
{
    std::string plain;
    bool inside = false;
    for (const char c : path) {
        inside = c == '[' || (inside && c != ']');
        if (!inside && c != ']')
            plain += c;
    }
    return plain;
}

} // namespace

Section::Section(const Value& value, std::string path, Problems& problems)
    : table_{&value}, path_{std::move(path)}, problems_{&problems}
{
    // `limits:` with nothing below is a section whose keys are all commented out; `!SelfSigned`
    // alone is a section without keys.
    const bool is_empty = value.kind == Value::Kind::nothing ||
                          (value.kind == Value::Kind::scalar && value.text.empty());
    if (value.kind != Value::Kind::table && !is_empty)
        problems_->add(value, path_, "expected a section with keys");
}

const Value* Section::value_of(std::string_view key) const
{
    // A key without value is half a line; the parser has complained.
    const std::size_t count = std::min(table_->keys.size(), table_->items.size());
    for (std::size_t i = 0; i < count; ++i)
        if (table_->keys[i].text == key)
            return &table_->items[i];
    return nullptr;
}

std::string Section::full(std::string_view key) const
{
    return path_.empty() || key.empty() ? fmt::format("{}{}", path_, key)
                                        : fmt::format("{}.{}", path_, key);
}

const Value* Section::find(std::string_view key)
{
    read_.emplace(key);
    problems_->note_key(without_indices(full(key)));
    return value_of(key);
}

void Section::refuse_tag(const Value& value, const std::string& key) const
{
    if (!value.tag.empty())
        problems_->add(value, key, fmt::format("a tag such as {} has no place here", value.tag));
}

const Value* Section::find_untagged(std::string_view key)
{
    const Value* value = find(key);
    if (value)
        refuse_tag(*value, full(key));
    return value;
}

const Value* Section::find_scalar(std::string_view key, std::string_view expected)
{
    const Value* value = find_untagged(key);
    if (!value || value->kind == Value::Kind::scalar)
        return value;
    problems_->add(*value, full(key), fmt::format("expected {}", expected));
    return nullptr;
}

const Value* Section::find_list(std::string_view key)
{
    const Value* value = find_untagged(key);
    if (!value || value->kind == Value::Kind::list)
        return value;
    if (value->kind != Value::Kind::nothing) // `key:` with every item commented out
        problems_->add(*value, full(key), "expected a list");
    return nullptr;
}

bool Section::has(std::string_view key) const
{
    return value_of(key) != nullptr;
}

void Section::report(std::string_view key, std::string text) const
{
    const Value* value = value_of(key);
    problems_->add(value ? *value : *table_, full(key), std::move(text));
}

void Section::report_tag(std::initializer_list<std::string_view> tags) const
{
    const std::string known = fmt::format("{}", fmt::join(tags, " or "));
    problems_->add(*table_, path_,
                   table_->tag.empty()
                       ? fmt::format("expected {} before the section", known)
                       : fmt::format("unknown tag {}; expected {}", table_->tag, known));
}

std::string Section::where(std::string_view key) const
{
    const Value* value = value_of(key);
    const Value& at = value ? *value : *table_;
    return fmt::format("{}:{}:{}: {}", problems_->file(), at.line, at.column, full(key));
}

std::string Section::required_string(std::string_view key)
{
    auto text = optional_string(key);
    if (!text && !has(key))
        report(key, "is required");
    else if (text && text->empty())
        report(key, "must not be empty");
    return std::move(text).value_or("");
}

std::optional<std::string> Section::optional_string(std::string_view key)
{
    const Value* value = find_scalar(key, "text");
    return value ? std::optional{value->text} : std::nullopt;
}

bool Section::boolean(std::string_view key, bool fallback)
{
    constexpr std::string_view expected = "true or false";
    const Value* value = find_scalar(key, expected);
    if (!value)
        return fallback;
    if (value->text != "true" && value->text != "false") {
        report(key, fmt::format("expected {}", expected));
        return fallback;
    }
    return value->text == "true";
}

Duration Section::duration(std::string_view key, Duration fallback, Duration least, Duration most)
{
    constexpr std::string_view expected = R"(a duration such as "15s" or "250ms")";
    const Value* value = find_scalar(key, expected);
    if (!value)
        return fallback;
    const auto duration = parse_duration(value->text);
    if (!duration) {
        report(key, fmt::format("expected {}", expected));
        return fallback;
    }
    if (*duration < least || *duration > most) {
        report(key,
               fmt::format("must be from {} to {}", format_duration(least), format_duration(most)));
        return fallback;
    }
    return *duration;
}

std::size_t Section::size(std::string_view key, std::size_t fallback, std::size_t least,
                          std::size_t most)
{
    constexpr std::string_view expected = R"(a size such as "64KiB" or "4MiB")";
    const Value* value = find_scalar(key, expected);
    if (!value)
        return fallback;
    const auto size = parse_size(value->text);
    if (!size) {
        report(key, fmt::format("expected {}", expected));
        return fallback;
    }
    if (*size < least || *size > most) {
        report(key, fmt::format("must be from {} to {}", format_size(least), format_size(most)));
        return fallback;
    }
    return *size;
}

std::int64_t Section::whole_number(std::string_view key, std::int64_t fallback, std::int64_t least,
                                   std::int64_t most)
{
    const std::string expected = fmt::format("a whole number from {} to {}", least, most);
    const Value* value = find_scalar(key, expected);
    if (!value)
        return fallback;
    std::int64_t number = 0;
    const char* const last = value->text.data() + value->text.size();
    const auto [end, error] = std::from_chars(value->text.data(), last, number);
    if (error != std::errc{} || end != last || number < least || number > most) {
        report(key, fmt::format("expected {}", expected));
        return fallback;
    }
    return number;
}

std::optional<HostPort> Section::host_port(std::string_view key)
{
    constexpr std::string_view expected = R"(HOST:PORT such as "gateway.example:443")";
    const Value* value = find_scalar(key, expected);
    if (!value)
        return std::nullopt;
    auto target = HostPort::parse(value->text);
    if (!target)
        report(key, fmt::format("expected {}", expected));
    return target;
}

std::optional<SocketAddress> Section::socket_address(std::string_view key)
{
    constexpr std::string_view expected = R"(ADDRESS:PORT such as "0.0.0.0:443" or "[::]:443")";
    const Value* value = find_scalar(key, expected);
    if (!value)
        return std::nullopt;
    const auto address = parse_socket_address(value->text);
    if (!address)
        report(key, fmt::format("expected {}", expected));
    return address;
}

std::optional<std::filesystem::path> Section::file_path(std::string_view key)
{
    const Value* value = find_scalar(key, "a path");
    if (!value)
        return std::nullopt;
    if (value->text.empty() || value->text.find('\0') != std::string::npos) {
        report(key, "expected a path");
        return std::nullopt;
    }
    return std::filesystem::path{problems_->file()}.parent_path() / value->text;
}

std::optional<std::size_t> Section::index_of_choice(std::string_view key,
                                                    const std::vector<std::string_view>& words)
{
    const std::string expected = fmt::format("{}", fmt::join(words, " or "));
    const Value* value = find_scalar(key, expected);
    if (!value)
        return std::nullopt;
    const auto found = std::ranges::find(words, value->text);
    if (found == words.end()) {
        report(key, fmt::format("expected {}", expected));
        return std::nullopt;
    }
    return static_cast<std::size_t>(found - words.begin());
}

std::vector<std::string> Section::strings(std::string_view key)
{
    std::vector<std::string> texts;
    const Value* list = find_list(key);
    for (std::size_t i = 0; list && i < list->items.size(); ++i) {
        const Value& item = list->items[i];
        const std::string item_key = fmt::format("{}[{}]", full(key), i);
        refuse_tag(item, item_key);
        if (item.kind == Value::Kind::scalar && !item.text.empty())
            texts.push_back(item.text);
        else
            problems_->add(item, item_key, "expected text");
    }
    return texts;
}

std::vector<IpPrefix> Section::prefixes(std::string_view key)
{
    std::vector<IpPrefix> prefixes;
    const Value* list = find_list(key);
    for (std::size_t i = 0; list && i < list->items.size(); ++i) {
        const Value& item = list->items[i];
        const std::string item_key = fmt::format("{}[{}]", full(key), i);
        refuse_tag(item, item_key);
        const auto prefix =
            item.kind == Value::Kind::scalar ? IpPrefix::parse(item.text) : std::nullopt;
        if (prefix)
            prefixes.push_back(*prefix);
        else
            problems_->add(item, item_key,
                           R"(expected an address block such as "10.0.0.0/8" or "::1")");
    }
    return prefixes;
}

Section Section::section(std::string_view key)
{
    static const Value empty;
    const Value* value = find_untagged(key);
    return Section{value ? *value : empty, full(key), *problems_};
}

std::optional<Section> Section::tagged_section(std::string_view key)
{
    const Value* value = find(key);
    return value ? std::optional{Section{*value, full(key), *problems_}} : std::nullopt;
}

std::vector<Section> Section::sections_of(std::string_view key, bool tagged)
{
    std::vector<Section> sections;
    const Value* list = find_list(key);
    for (std::size_t i = 0; list && i < list->items.size(); ++i) {
        std::string item_key = fmt::format("{}[{}]", full(key), i);
        if (!tagged)
            refuse_tag(list->items[i], item_key);
        sections.emplace_back(list->items[i], std::move(item_key), *problems_);
    }
    return sections;
}

std::vector<Section> Section::sections(std::string_view key)
{
    return sections_of(key, false);
}

std::vector<Section> Section::tagged_sections(std::string_view key)
{
    return sections_of(key, true);
}

std::string Section::suggestion_for(std::string_view key) const
{
    std::string_view nearest;
    std::size_t least = key.size() / 3 + 1; // a third of it may be wrong
    for (const std::string& known : read_) {
        const std::size_t steps = distance(key, known);
        if (steps > least || (steps == least && !nearest.empty()))
            continue;
        least = steps;
        nearest = known;
    }
    return nearest.empty() ? "" : fmt::format("; did you mean `{}`?", nearest);
}

void Section::finish() const
{
    for (const Value& key : table_->keys) {
        if (key.kind != Value::Kind::scalar || read_.contains(key.text))
            continue;
        const std::string shown = key.text.substr(0, 64);
        problems_->add(key, full(shown), fmt::format("unknown key{}", suggestion_for(shown)));
    }
}

} // namespace narrowlink::config
