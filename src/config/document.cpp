#include "narrowlink/config/document.hpp"

#include <algorithm>
#include <exception>
#include <sstream>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

namespace narrowlink::config {
namespace {

constexpr std::size_t most_levels = 16;
constexpr std::size_t most_keys = 1'000; // of one table

void set_place(Value& value, const YAML::Mark& mark)
{
    value.line = static_cast<std::uint32_t>(std::max(mark.line, 0) + 1);
    value.column = static_cast<std::uint32_t>(std::max(mark.column, 0) + 1);
}

/// Ends the parser, which knows no other way.
struct Refused : std::exception {
    Refused(const YAML::Mark& mark, std::string t) : text{std::move(t)} { set_place(at, mark); }

    Value at;
    std::string text;
};

/// yaml-cpp's own tree shares nodes between aliases, keeps both of two equal keys and is changed
/// by looking at it; so this builds another from the parser's events.
class Builder final : public YAML::EventHandler {
public:
    explicit Builder(Problems& problems) : problems_{problems} {}

    Value take_root() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark&) override {}

    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override
    {
        add(make(Value::Kind::nothing, mark, "", anchor));
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { refuse_anchor(mark); }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& text) override
    {
        Value value = make(Value::Kind::scalar, mark, tag, anchor);
        value.text = text;
        add(std::move(value));
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override
    {
        begin(make(Value::Kind::list, mark, tag, anchor), mark);
    }

    void OnSequenceEnd() override { end(); }

    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override
    {
        begin(make(Value::Kind::table, mark, tag, anchor), mark);
    }

    void OnMapEnd() override { end(); }

private:
    [[noreturn]] static void refuse_anchor(const YAML::Mark& mark)
    {
        throw Refused{mark, "anchors (&) and aliases (*) are not supported; write the value out"};
    }

    static Value make(Value::Kind kind, const YAML::Mark& mark, const std::string& tag,
                      YAML::anchor_t anchor)
    {
        if (anchor != YAML::NullAnchor)
            refuse_anchor(mark);
        Value value;
        value.kind = kind;
        set_place(value, mark);
        if (tag != "?" && tag != "!") // what the parser says for a plain and for a quoted scalar
            value.tag = tag;
        return value;
    }

    void begin(Value value, const YAML::Mark& mark)
    {
        if (open_.size() >= most_levels)
            throw Refused{mark, fmt::format("more than {} levels of nesting", most_levels)};
        open_.push_back(std::move(value));
    }

    void end()
    {
        Value value = std::move(open_.back());
        open_.pop_back();
        add(std::move(value));
    }

    void add(Value value)
    {
        if (open_.empty()) {
            root_ = std::move(value);
            return;
        }
        Value& parent = open_.back();
        if (value.kind == Value::Kind::nothing && parent.keys.size() > parent.items.size()) {
            value.line = parent.keys.back().line; // the parser says where the next token is
            value.column = parent.keys.back().column;
        }
        if (parent.kind == Value::Kind::table && parent.keys.size() == parent.items.size())
            add_key(parent, std::move(value));
        else
            parent.items.push_back(std::move(value));
    }

    void add_key(Value& table, Value key)
    {
        if (table.keys.size() >= most_keys) {
            Refused refused{YAML::Mark{}, fmt::format("more than {} keys", most_keys)};
            refused.at = key;
            throw refused;
        }
        if (key.kind != Value::Kind::scalar)
            problems_.add(key, "", "a key must be a word");
        else if (std::ranges::find(table.keys, key.text, &Value::text) != table.keys.end())
            problems_.add(key, "", fmt::format("the key `{}` is given twice", key.text));
        table.keys.push_back(std::move(key));
    }

    Problems& problems_;
    Value root_;
    std::vector<Value> open_;
};

} // namespace

void Problems::add(const Value& at, std::string key, std::string text)
{
    problems_.push_back({file_, at.line, at.column, std::move(key), std::move(text)});
}

std::vector<Problem> Problems::sorted() const
{
    std::vector<Problem> sorted = problems_;
    std::ranges::stable_sort(sorted, {}, [](const Problem& p) {
        return std::pair{p.line, p.column};
    });
    return sorted;
}

Value parse_document(std::string_view text, Problems& problems)
{
    Value empty;
    empty.kind = Value::Kind::table;
    if (text.size() > largest_config) {
        problems.add(empty, "", "the file is larger than 1 MiB");
        return empty;
    }
    Builder builder{problems};
    try {
        std::istringstream stream{std::string{text}};
        YAML::Parser parser{stream};
        if (!parser.HandleNextDocument(builder))
            return empty;
        Value root = builder.take_root();
        if (parser.HandleNextDocument(builder))
            problems.add(builder.take_root(), "", "only one document is expected");
        if (root.kind == Value::Kind::nothing)
            return empty;
        return root;
    } catch (const Refused& refused) {
        problems.add(refused.at, "", refused.text);
    } catch (const YAML::Exception& error) {
        Value at;
        set_place(at, error.mark);
        problems.add(at, "", fmt::format("this is not YAML: {}", error.msg));
    }
    return empty;
}

} // namespace narrowlink::config
